/** The command provider with real processes: output, files, time limits, and that none outlives the engine. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { createGuardian } from "../../engine/guardian.ts";
import { createCommandProvider } from "../../engine/providers/command/provider.ts";
import type { ProviderLog } from "../../engine/providers/provider.ts";
import { isMap, type PropertyMap, secret } from "../../engine/values.ts";
import { gone, isRunning } from "../support/processes.ts";
import { failure } from "../support/provider-call.ts";

const folder = mkdtempSync(join(tmpdir(), "engine-command-"));
const guardian = createGuardian();
const logs: ProviderLog[] = [];
const provider = createCommandProvider({ programDirectory: folder, guardian, log: (entry) => logs.push(entry) });
const urn = "urn:pulumi:dev::p::command:local:Command::x";
const never = new AbortController().signal;
after(async () => {
  await provider.close();
  guardian.close();
  rmSync(folder, { recursive: true });
});

async function create(properties: PropertyMap, more: { timeout?: number; signal?: AbortSignal } = {}): Promise<PropertyMap> {
  logs.length = 0;
  const { signal = never, ...request } = more;
  return (await provider.create({ urn, properties, ...request }, signal)).properties ?? {};
}

test("output is kept, but for one line end, and shown line by line", async () => {
  const out = await create({ create: "printf 'a\\nb\\n\\n'; printf 'no end' >&2" });
  assert.equal(out.stdout, "a\nb\n");
  assert.equal(out.stderr, "no end");
  assert.ok(logs.every((entry) => entry.ephemeral && entry.severity === "info" && entry.urn === urn));
  assert.deepEqual(logs.map(({ message }) => message).sort(), ["", "a", "b", "no end"]);
});

test("logging decides what is shown, not what is kept", async () => {
  const shown = async (logging: string) => {
    const out = await create({ create: "echo out; echo err >&2", logging });
    assert.deepEqual([out.stdout, out.stderr], ["out", "err"]);
    return logs.map(({ message }) => message).sort();
  };
  assert.deepEqual(await shown("none"), []);
  assert.deepEqual(await shown("stdout"), ["out"]);
  assert.deepEqual(await shown("stderr"), ["err"]);
  assert.deepEqual(await shown("stdoutAndStderr"), ["err", "out"]);
});

test("environment, directory, interpreter and input reach the command", async () => {
  mkdirSync(join(folder, "sub"));
  const command =
    "process.stdout.write([process.env.A, process.env['not.a-name'], process.cwd(), fs.readFileSync(0)].join(' '))";
  const out = await create({
    create: command,
    interpreter: [process.execPath, "-e"],
    environment: { A: "x y", "not.a-name": "kept" },
    dir: "sub",
    stdin: "from stdin",
  });
  assert.equal(out.stdout, `x y kept ${join(folder, "sub")} from stdin`);
  assert.equal((await create({ create: "cat; cat" })).stdout, "", "without input there is an empty one");
  assert.equal((await create({ create: "true", stdin: "x".repeat(1 << 20) })).stdout, "", "nobody has to read the input");
});

test("the last output is in the environment, unless it is not wanted", async () => {
  const command = 'echo "$PULUMI_COMMAND_STDOUT/$PULUMI_COMMAND_STDERR"';
  const olds = { create: command, stdout: "old out", stderr: "" };
  const update = async (news: PropertyMap) => (await provider.update({ id: "x", urn, olds, news }, never)).properties?.stdout;
  assert.equal(await update({ create: command }), "old out/");
  assert.equal(await update({ create: "true", update: command }), "old out/");
  assert.equal(await update({ create: command, addPreviousOutputInEnv: false }), "/");
  assert.equal(await update({}), "old out", "without a command nothing runs");
  const file = join(folder, "deleted");
  const properties = { ...olds, delete: `echo "$PULUMI_COMMAND_STDOUT" > ${file}` };
  await provider.delete({ id: "x", urn, properties }, never);
  assert.equal(readFileSync(file, "utf8"), "old out\n");
});

test("failures say what the official provider says", async () => {
  assert.equal(await failure(create({ create: "echo a; exit 3" })), 'exit status 3: running "echo a; exit 3":\na\n');
  assert.equal(
    await failure(create({ create: 'kill -TERM $$ # "\t' })),
    'signal: terminated: running "kill -TERM $$ # \\"\\t":\n',
  );
  assert.equal(
    await failure(create({ create: "x", interpreter: ["no-such-program"] })),
    'exec: "no-such-program": executable file not found in $PATH: running "x":\n',
  );
  assert.equal(
    await failure(create({ create: "x", dir: "missing" })),
    'chdir missing: no such file or directory: running "x":\n',
  );
  writeFileSync(join(folder, "plain"), "");
  assert.equal(
    await failure(create({ create: "x", interpreter: ["./plain"] })),
    'fork/exec ./plain: permission denied: running "x":\n',
  );
});

test("messages and lines hold no secret input", async () => {
  const token = "t0ken-of-many-letters";
  const properties = {
    create: secret(`echo key=${token}; exit 1`),
    environment: { T: secret(token) },
    stdin: secret("line one\nline two"),
  };
  assert.equal(await failure(create(properties)), "exit status 1: running [secret]:\nkey=[secret]\n");
  assert.ok(logs.length > 0 && logs.every(({ message }) => !message.includes(token)));
  assert.equal(
    await failure(create({ create: "cat; exit 1", stdin: secret("line one\nline two") })),
    'exit status 1: running "cat; exit 1":\n[secret]',
  );
});

test("files are found by globs, later ones first, and hashed", async () => {
  const dir = join(folder, "glob");
  mkdirSync(dir);
  const make = "mkdir -p a/b && echo 1 > a/one.js && echo 2 > a/b/two.js && echo 3 > a/b/secret.js && echo 4 > 'top[1].txt'";
  const out = await create({
    create: make,
    dir: "glob",
    assetPaths: ["a/**", "!**secret.*"],
    archivePaths: ["*.{txt,md}", "top\\[?].txt"],
  });
  assert.deepEqual(Object.keys(isMap(out.assets) ? out.assets : {}), ["a/b/two.js", "a/one.js"]);
  const archive = isMap(out.archive) ? out.archive : {};
  assert.deepEqual(Object.keys(isMap(archive.assets) ? archive.assets : {}), ["top[1].txt"]);
  assert.match(String(archive.hash), /^[0-9a-f]{64}$/);
  const kept = await provider.update({ id: "x", urn, olds: out, news: { create: "true", dir: "glob" } }, never);
  assert.deepEqual(kept.properties?.assets, out.assets, "files stay where none are asked for");
  const none = await create({ create: "true", dir: "glob", assetPaths: ["*.none"] });
  assert.deepEqual(none.assets, {});
  assert.match(await failure(create({ create: "true", dir: "glob", assetPaths: ["[a"] })), /has a "\[" without/);
});

test("a command ends at its time limit with all that it started", async () => {
  const pids = join(folder, "pids");
  const text = await failure(create({ create: `sleep 60 & echo $! $$ > ${pids}; echo begun; wait` }, { timeout: 0.5 }));
  assert.match(text, /^signal: killed: running ".*":\nbegun\n$/);
  assert.ok(logs.some(({ severity, message }) => severity === "warning" && message.includes("timeout of 0.5 seconds")));
  for (const pid of readFileSync(pids, "utf8").trim().split(" ")) await gone(Number(pid));
});

test("an abort and a cancelled provider kill what runs", async () => {
  const stop = new AbortController();
  const running = failure(create({ create: "echo $$ > aborted; sleep 60" }, { signal: stop.signal }));
  const pid = await pidIn("aborted");
  stop.abort();
  assert.match(await running, /^signal: killed/);
  await gone(pid);

  const other = createCommandProvider({ programDirectory: folder, guardian, log() {} });
  const second = failure(other.create({ urn, properties: { create: "echo $$ > cancelled; sleep 60" } }, never));
  const secondPid = await pidIn("cancelled");
  await other.cancel();
  assert.match(await second, /^signal: killed/);
  await gone(secondPid);
  assert.match(await failure(other.create({ urn, properties: { create: "true" } }, never)), /^context canceled/);
});

test("what a command leaves running goes on after it", async () => {
  await create({ create: "setsid sleep 60 >/dev/null 2>&1 </dev/null & echo $! > daemon; sleep 0.1" });
  await create({ create: "sleep 60 >/dev/null 2>&1 </dev/null & echo $! > background" });
  for (const name of ["daemon", "background"]) {
    const pid = await pidIn(name);
    assert.ok(isRunning(pid), `${name} runs`);
    process.kill(pid, "SIGKILL");
  }
});

// The first commands are started by the engine itself, later ones by its small process.
for (const before of ["0", "20"]) {
  test(`a killed engine takes its commands along, but no service that left their group (after ${before})`, async (t) => {
    const [service, group] = [`service-${before}`, `group-${before}`];
    const command = `setsid sleep 60 >/dev/null 2>&1 </dev/null & echo $! > ${service}; sleep 60 & echo $! $$ $PPID > ${group}; wait`;
    const engine = spawn(
      process.execPath,
      [join(import.meta.dirname, "../support/command-stand-in.ts"), folder, command, before],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    t.after(() => engine.kill("SIGKILL"));
    await once(createInterface({ input: engine.stdout }), "line");
    await pidIn(group);
    const pids = readFileSync(join(folder, group), "utf8").trim().split(" ").map(Number);
    assert.equal(pids[2] === engine.pid, before === "0", "who started it");
    await ownGroup(await pidIn(service));
    engine.kill("SIGKILL");
    for (const pid of pids) await gone(pid);
    const servicePid = await pidIn(service);
    assert.ok(isRunning(servicePid), "the service was left alone");
    process.kill(servicePid, "SIGKILL");
  });
}

test("when the process that starts commands is killed, they end and the next one works", async () => {
  for (let i = 0; i < 10; i++) await create({ create: "true" });
  const running = failure(create({ create: "sleep 60 & echo $! $$ $PPID > starter; wait" }));
  await pidIn("starter");
  const [child = 0, shell = 0, starter = 0] = readFileSync(join(folder, "starter"), "utf8").trim().split(" ").map(Number);
  assert.notEqual(starter, process.pid);
  process.kill(starter, "SIGKILL");
  assert.match(await running, /^the process that runs the commands has ended/);
  await gone(child);
  await gone(shell);
  assert.equal((await create({ create: "echo again" })).stdout, "again");
});

test("local.run runs at once, in a preview too", async () => {
  const { return: out } = await provider.invoke({
    tok: "command:local:run",
    args: { command: "cat; echo run", stdin: "in " },
    preview: true,
  });
  assert.deepEqual(out, { command: "cat; echo run", stdin: "in ", stdout: "in run", stderr: "" });
  const { failures } = await provider.invoke({ tok: "command:local:run", args: {} });
  assert.equal(failures?.[0]?.property, "command");
});

test("types that are not there name the plug-in that may have them", async () => {
  const other = "urn:pulumi:dev::p::command:local:Other::x";
  const text = await failure(provider.check({ urn: other, news: {} }));
  assert.match(text, /command:local:Other.*pulumi plugin install resource command 1\.2\.1$/);
});

/** The command writes it before it goes on. */
/** Until setsid has run in it, it belongs to the command. */
async function ownGroup(pid: number): Promise<void> {
  const end = Date.now() + 10_000;
  for (;;) {
    const { stdout } = spawnSync("ps", ["-o", "pgid=", "-p", String(pid)], { encoding: "utf8" });
    if (Number(stdout) === pid) return;
    assert.ok(Date.now() < end, `${pid} never left the group`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function pidIn(name: string): Promise<number> {
  const file = join(folder, name);
  const end = Date.now() + 10_000;
  while (!existsSync(file) || !readFileSync(file, "utf8").endsWith("\n")) {
    assert.ok(Date.now() < end, `${name} was not written`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return Number.parseInt(readFileSync(file, "utf8"), 10);
}
