/** The start in plain JavaScript: what it says when TypeScript cannot run yet. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";

const root = join(import.meta.dirname, "..");

/** A clone in which one tiny package is wanted, and a stand-in for npm that the test writes. */
function clone(
  t: TestContext,
  npm?: string,
): { folder: string; run: (...options: string[]) => { code: number | null; text: string; out: string } } {
  const folder = mkdtempSync(join(tmpdir(), "start-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(root, "bin"), join(folder, "bin"), { recursive: true });
  mkdirSync(join(folder, "infra/operate"), { recursive: true });
  mkdirSync(join(folder, "path"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(
    join(folder, "infra/operate/main.ts"),
    "const words: string[] = process.argv.slice(2); console.log(JSON.stringify(words)); process.exit(7);",
  );
  writeFileSync(
    join(folder, "package-lock.json"),
    JSON.stringify({
      packages: {
        "": {},
        "node_modules/a": { version: "1.0.0" },
        "node_modules/b": { version: "1.0.0", dev: true },
        "node_modules/c": { version: "1.0.0", optional: true },
      },
    }),
  );
  if (npm) writeFileSync(join(folder, "path/npm"), `#!/bin/sh\n${npm}\n`, { mode: 0o755 });
  return {
    folder,
    run: (...options) => {
      const result = spawnSync(process.execPath, [...options, join(folder, "bin/openclaw-stack.cjs"), "status", "--x"], {
        encoding: "utf8",
        env: {
          PATH: `${join(folder, "path")}:/bin`,
        },
      });
      return { code: result.status, text: result.stderr, out: result.stdout };
    },
  };
}

const installs = `mkdir -p node_modules; echo "$@" >> npm.log; echo noise; echo '{"packages":{"node_modules/a":{"version":"1.0.0"}}}' > node_modules/.package-lock.json`;

test("a Node that is too old is named, with what to do", (t) => {
  const { folder, run } = clone(t);
  writeFileSync(join(folder, "old.cjs"), 'Object.defineProperty(process.versions, "node", { value: "18.20.1" });');
  const { code, text } = run("--require", join(folder, "old.cjs"));
  assert.equal(code, 1);
  assert.match(text, /needs Node 20 or newer to start; this is Node 18\.20\.1/);
  assert.match(text, /nodejs\.org/);
  assert.doesNotMatch(text, /\n\s+at /);
});

test("packages are installed once, without the development ones, and the command's exit code and arguments pass through", (t) => {
  const { run } = clone(t, installs);
  const first = run();
  assert.equal(first.code, 7, first.text);
  assert.match(first.text, /Installing packages \(first run; npm ci .*--omit=dev\)/);
  assert.equal(first.out, '["status","--x"]\n', "what npm prints must not reach stdout");
  const second = run();
  assert.equal(second.code, 7);
  assert.equal(second.text, "");
});

test("who has the development packages keeps them when another package is outdated", (t) => {
  const { run, folder } = clone(t, installs);
  mkdirSync(join(folder, "node_modules"));
  const before = { packages: { "node_modules/a": { version: "0.9.0" }, "node_modules/b": { version: "1.0.0", dev: true } } };
  writeFileSync(join(folder, "node_modules/.package-lock.json"), JSON.stringify(before));
  const { text } = run();
  assert.match(text, /Installing packages \(a is missing or out of date; npm ci /);
  assert.doesNotMatch(text, /--omit=dev/);
});

test("npm that fails is reported with what a proxy, a CA or a mirror need", (t) => {
  const { run } = clone(t, "echo 'npm error network'; exit 3");
  const { code, text } = run();
  assert.equal(code, 1);
  assert.match(text, /npm error network/);
  assert.match(text, /npm ended with exit code 3/);
  for (const word of ["HTTPS_PROXY", "NODE_EXTRA_CA_CERTS", "npm config set registry"]) assert.ok(text.includes(word), word);
  assert.doesNotMatch(text, /\n\s+at /);
});

test("a machine without npm is told how to get it", (t) => {
  const { folder } = clone(t);
  const start = join(folder, "bin/openclaw-stack.cjs");
  const { status, stderr } = spawnSync(process.execPath, [start], { encoding: "utf8", env: { PATH: join(folder, "path") } });
  assert.equal(status, 1);
  assert.match(stderr, /npm was not found on the PATH/);
});

test("a lock file that is missing is named", (t) => {
  const { run, folder } = clone(t);
  rmSync(join(folder, "package-lock.json"));
  const { code, text } = run();
  assert.equal(code, 1);
  assert.match(text, /package-lock\.json is missing/);
});

test("an installation that died leaves no lock that stops the next one", (t) => {
  const { run, folder } = clone(t, installs);
  writeFileSync(join(folder, ".install.lock"), "999999999");
  assert.equal(run().code, 7);
});
