/** Twenty planted secrets appear nowhere in clear: not on disk outside the secrets folder, not in output, not in any process's arguments or environment. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { freePort } from "../support/free-port.ts";
import { type LocalClone, makeClone } from "../support/local-clone.ts";
import type { Outcome } from "../support/outcome.ts";

let place: LocalClone | undefined;
after(() => place?.remove());

/** Characters that JSON and URLs write differently, so that those forms are looked for as well. */
const planted = (name: string): string => `plnt"${name}\\<&+/%=>secret`;
const providers = Array.from({ length: 17 }, (_, index) => `p${index + 1}`);
/** 17 keys of providers, two named tokens, and the gateway's own: by `config set`. The one made at random is read later. */
const secrets = new Map<string, string>([
  ...providers.map((id): [string, string] => [`apiKey-${id}`, planted(id)]),
  ["token-ci", planted("ci")],
  ["token-ops", planted("ops")],
]);

function formsOf(secret: string): string[] {
  const json = JSON.stringify(secret).slice(1, -1);
  const bytes = Buffer.from(secret);
  // Inside other text base64 has three phases; the middle of each is what does not depend on the neighbours.
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString("base64")
      .slice(shift === 0 ? 0 : 4, -4),
  );
  return [
    ...new Set([
      secret,
      json,
      JSON.stringify(json).slice(1, -1),
      encodeURIComponent(secret),
      encodeURI(secret),
      ...base64,
      ...base64.map((text) => text.replaceAll("+", "-").replaceAll("/", "_")),
    ]),
  ];
}

/** Names of the secrets that a text holds. */
function findIn(text: string): string[] {
  return [...secrets].filter(([, value]) => formsOf(value).some((form) => text.includes(form))).map(([name]) => name);
}

function* filesBelow(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}

/** Looks at all processes until it is stopped. */
function watchProcesses(): { stop(): Promise<{ found: string[]; looks: number }> } {
  const found = new Set<string>();
  let looks = 0;
  let running = true;
  const forms = new Map([...secrets].map(([name, value]) => [name, formsOf(value)]));
  const loop = (async () => {
    while (running) {
      for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
        for (const file of ["cmdline", "environ"]) {
          const text = readOr(`/proc/${pid}/${file}`);
          // Pulumi's protocol hands the configuration to the program in this variable, whichever engine runs (its own user alone can read it).
          if (file === "environ" && /(^|\0)PULUMI_CONFIG=/.test(text)) continue;
          for (const [name, all] of forms)
            if (all.some((form) => text.includes(form)))
              found.add(`${name} in ${file} of ${readOr(`/proc/${pid}/cmdline`).replaceAll("\0", " ").slice(0, 200)}`);
        }
      }
      looks++;
      await pause(15);
    }
  })();
  return {
    async stop() {
      running = false;
      await loop;
      return { found: [...found], looks };
    },
  };
}

function readOr(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}

test("secrets stay secret: set, deployed, previewed, shown, after failures and after a crash", async (t) => {
  place = makeClone("secrets");
  const { base, home, directory, stackFile } = place;
  const operate = place.operate;
  const port = await freePort();
  const settings = [
    "config:",
    "  openclaw-stack:target: local",
    `  openclaw-stack:gateway: { port: ${port} }`,
    "  openclaw-stack:tokens: [{ id: ci }, { id: ops, scopes: [operator.read] }]",
    "  openclaw-stack:models:",
    "    providers:",
    ...providers.map((id) => `      ${id}: { baseUrl: "http://127.0.0.1:9/v1", models: [small] }`),
  ];
  writeFileSync(stackFile, `${settings.join("\n")}\n`);
  const outputs: { what: string; text: string }[] = [];
  const note = (what: string, outcome: Outcome): Outcome => {
    outputs.push({ what, text: outcome.text });
    return outcome;
  };

  for (const [name, value] of secrets) {
    const set = note(`config set ${name}`, await operate(["config", "set", "--secret", name], { input: value }));
    assert.equal(set.code, 0, set.text);
  }
  const watch = watchProcesses();
  t.after(() => watch.stop());
  const up = note("up", await place.npm(["run", "up"]));
  assert.equal(up.code, 0, up.text);
  secrets.set("the random token", (await operate(["token"])).stdout.trim());
  assert.equal(secrets.size, 20);

  // A change of a secret, seen in all forms of a preview.
  const changed = planted("changed");
  await operate(["config", "set", "--secret", "apiKey-p1"], { input: changed });
  secrets.set("apiKey-p1, changed", changed);
  for (const args of [["preview"], ["preview", "--diff"], ["preview", "--json"], ["config"], ["config", "--json"], ["stack"]]) {
    note(args.join(" "), await operate(args));
  }
  for (const args of [
    ["stack", "output"],
    ["stack", "output", "--json"],
    ["stack", "export"],
    ["stack", "history"],
  ]) {
    note(args.join(" "), await operate(args));
  }

  // A failure in the middle: a folder lies where a secret's file should go.
  const stack = join(
    home,
    ".local/share/openclaw-stack",
    readdirSync(join(home, ".local/share/openclaw-stack"))[0] ?? "",
    "local",
  );
  rmSync(join(stack, "secrets/api-key-p1"));
  mkdirSync(join(stack, "secrets/api-key-p1"));
  const failed = note("failing up", await operate(["up"]));
  assert.notEqual(failed.code, 0, "the up was to fail");
  rmSync(join(stack, "secrets/api-key-p1"), { recursive: true });

  // A crash: the whole engine is killed while it updates.
  let pid = 0;
  const crashed = await operate(["up", "--diff=false"], {
    onStart: (started) => {
      pid = started;
    },
    onText: (text) => {
      if (!/files-secrets updating/.test(text)) return;
      for (const child of childrenOf(pid)) process.kill(child, "SIGKILL");
    },
  });
  note("crashed up", crashed);
  assert.notEqual(crashed.code, 0, `it was not killed:\n${crashed.text}`);
  note("up after the crash", await operate(["up"]));
  const last = note("last up", await operate(["up"]));
  assert.equal(last.code, 0, last.text);
  const logs = note("logs", await operate(["logs", "-n", "1000"]));
  assert.ok(logs.stdout.length > 100);
  // Wrong settings whose text names the secrets.
  await operate(["config", "set", "--secret", "apiKey-unknown"], { input: planted("p1") });
  assert.notEqual(note("wrong settings", await operate(["preview"])).code, 0);
  await operate(["config", "rm", "apiKey-unknown"]);

  const { found, looks } = await watch.stop();
  assert.ok(looks > 50, `only ${looks} looks at the processes`);
  assert.deepEqual(found, []);
  for (const { what, text } of outputs) assert.deepEqual(findIn(text), [], `output of ${what}`);

  let files = 0;
  const offenders: string[] = [];
  for (const file of filesBelow(base)) {
    if (file.startsWith(join(stack, "secrets/")) || file.startsWith(join(directory, "node_modules/"))) continue;
    if (file.startsWith(directory) && !file.startsWith(join(directory, "stacks/"))) continue;
    files++;
    const bytes = readFileSync(file);
    const text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString("latin1");
    for (const name of findIn(text)) offenders.push(`${name} in ${file.slice(base.length)}`);
  }
  assert.ok(files > 40, `only ${files} files were looked at`);
  assert.deepEqual(offenders, []);

  // Where they do lie, only their owner can read them.
  for (const file of filesBelow(join(stack, "secrets"))) assert.equal(statSync(file).mode & 0o077, 0, file);
  assert.equal(statSync(join(stack, "secrets")).mode & 0o077, 0);
  assert.ok(findIn(readFileSync(join(stack, "secrets/api-key-p2"), "latin1")).length === 1, "the search finds what is there");
  assert.equal((await operate(["destroy"])).code, 0);
});

function childrenOf(parent: number): number[] {
  const direct = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => Number(/\) . (\d+)/.exec(readOr(`/proc/${pid}/stat`))?.[1]) === parent);
  return direct;
}
