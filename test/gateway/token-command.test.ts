// `gateway/main.ts token`: named tokens of a plain config file.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadConfig } from "../../gateway/config/load.ts";
import { readTokenOptions } from "../../gateway/config/token-entry.ts";
import { type Folder, makeFolder, token } from "../support/gateway.ts";

let folder: Folder;
before(() => {
  folder = makeFolder();
});
after(() => folder.remove());

const entry = join(import.meta.dirname, "../../gateway/main.ts");
function run(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH, OPENCLAW_STATE_DIR: folder.path };
    execFile(process.execPath, [entry, "token", ...words], { env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, stdout, stderr });
    });
  });
}

test("create writes a private file and an entry that refers to it; revoke takes both away", async () => {
  const path = folder.write("openclaw.json", {
    gateway: { auth: { token } },
    plugins: { entries: { "openclaw-stack": { config: { demo: { enabled: true } } } } },
  });
  const before = readFileSync(path, "utf8");
  const made = await run("create", "CI.build", "--budget", "5/day", "--config", path);
  assert.equal(made.code, 0, made.stderr);
  const value = made.stdout.trim();
  assert.match(value, /^[A-Za-z0-9]{43}$/);
  const file = join(folder.path, "secrets", "token-ci-build");
  assert.equal(readFileSync(file, "utf8").trim(), value);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const loaded = await loadConfig({ env: {}, path });
  const [first] = loaded.stack.tokens;
  assert.ok(first && loaded.secrets.reveal(first.token) === value);
  assert.deepEqual([first.id, first.budget], ["CI.build", { amount: 5, window: "day" }]);
  assert.ok(!readFileSync(path, "utf8").includes(value));

  const [listed, again, wrong] = await Promise.all([
    run("list", "--json", "--config", path),
    run("create", "CI.build", "--config", path),
    run("create", "other", "--budgett", "5", "--config", path),
  ]);
  assert.ok(!listed.stdout.includes(value));
  assert.deepEqual(
    JSON.parse(listed.stdout).map(({ id, limits }: { id: string; limits: string }) => [id, limits]),
    [["CI.build", "5 a day"]],
  );
  assert.deepEqual([again.code, wrong.code], [64, 64]);
  assert.match(wrong.stderr, /--budgett is not known/);

  const revoked = await run("revoke", "CI.build", "--config", path);
  assert.equal(revoked.code, 0, revoked.stderr);
  assert.equal(existsSync(file), false);
  assert.deepEqual((await loadConfig({ env: {}, path })).stack.tokens, []);
  assert.notEqual(readFileSync(path, "utf8"), before);
});

test("a file with comments is left as it is: what to add is printed", async () => {
  const path = folder.write(
    "commented.json5",
    "// mine\n{ plugins: { entries: { 'openclaw-stack': { config: { demo: { enabled: true } } } } } }\n",
  );
  const text = readFileSync(path, "utf8");
  const made = await run("create", "ops", "--config", path);
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stderr, /"provider": "token-ops"/);
  assert.equal(readFileSync(path, "utf8"), text);
  assert.ok(!made.stderr.includes(made.stdout.trim()));
  // A token that is there, but cannot be taken away from here.
  writeFileSync(path, text.replace("demo:", "tokens: [{ id: 'ops', token: 'a-token-in-clear' }], demo:"));
  const revoked = await run("revoke", "ops", "--config", path);
  assert.equal(revoked.code, 64);
  assert.match(revoked.stderr, /by hand/);
});

describe("options", () => {
  const now = Date.parse("2026-06-01T00:00:00Z");
  const entryOf = (line: string) => {
    const read = readTokenOptions(line.split(" "), now);
    return typeof read === "string" ? read : { ...read.entry, ...(read.rest.length > 0 ? { rest: read.rest } : {}) };
  };
  const cases: [string, unknown][] = [
    ["ci", { id: "ci" }],
    ["ci --scopes read,operator.admin", { id: "ci", scopes: ["operator.read", "operator.admin"] }],
    ["ci --requests-per-minute 10 --concurrent=2", { id: "ci", limits: { requestsPerMinute: 10, concurrent: 2 } }],
    ["ci --budget 2.5", { id: "ci", budget: { amount: 2.5 } }],
    ["ci --expires 90d --not-before 1h", { id: "ci", expiresAt: "2026-08-30T00:00:00Z", notBefore: "2026-06-01T01:00:00Z" }],
    ["ci --models a/*,b --priority batch", { id: "ci", models: ["a/*", "b"], priority: "batch" }],
    ["ci --unknown", { id: "ci", rest: ["--unknown"] }],
    ["--expires 1d", /Name the token/],
    ["ci --concurrent 0", /limits\.concurrent/],
    ["ci --allow-from 10.0.0.0/40", /allowFrom\.0: is neither an address nor a network/],
    ["ci --expires soon", /expiresAt: expected a time/],
    ["ci --scopes rulers", /scopes\.0/],
    ["ci --models", /--models needs a value/],
  ];
  for (const [line, wanted] of cases)
    test(line, () => {
      const found = entryOf(line);
      if (wanted instanceof RegExp) assert.match(String(found), wanted);
      else assert.deepEqual(found, wanted);
    });
});
