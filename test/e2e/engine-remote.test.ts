/** Commands and copies by the command provider on a remote host: a real sshd on loopback. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type PropertyMap, secret } from "../../engine/values.ts";
import { gone } from "../support/processes.ts";
import { failure } from "../support/provider-call.ts";
import { archive, asset, never, remoteHost, until, urns } from "../support/remote-host.ts";
import { startSshd, whyNoSshd } from "../support/sshd.ts";

describe("remote commands and copies", { skip: whyNoSshd() }, () => {
  const host = remoteHost();
  const { folder, logs, newProvider, connection, make, run, copy } = host;
  before(host.start);
  after(host.stop);

  test("output is kept and shown, input arrives, failures say what the official provider says", async () => {
    logs.length = 0;
    const out = await run({ create: "cat; echo; echo err >&2", stdin: "given" });
    assert.deepEqual([out.stdout, out.stderr], ["given", "err"]);
    assert.deepEqual(logs.map(({ message }) => message).sort(), ["err", "given"]);
    assert.ok(logs.every((entry) => entry.ephemeral && entry.urn === urns.command));
    assert.equal((await run({ create: "cat; cat" })).stdout, "", "without input there is an empty one");
    assert.equal((await run({ create: "true", stdin: "x".repeat(1 << 20) })).stdout, "", "nobody has to read the input");
    const status = 'Process exited with status 7: running "echo out; exit 7":\nout\n';
    assert.equal(await failure(run({ create: "echo out; exit 7" })), status);
    assert.match(await failure(run({ create: "kill -TERM $$" })), /^Process exited with status 143 from signal TERM: running/);
  });

  test("ten megabytes come and go, and bytes stay what they are", async () => {
    const much = "head -c 10485760 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero | tr '\\0' y >&2";
    const megabytes = await run({ create: much, logging: "none" });
    assert.equal(megabytes.stdout, "x".repeat(10 << 20));
    assert.equal(megabytes.stderr, "y".repeat(1_000_000));
    const bytes = randomBytes(10_000_001);
    writeFileSync(join(folder, "binary"), bytes);
    await copy(asset({ path: "binary" }), join(folder, "out/deep/binary"));
    assert.ok(readFileSync(join(folder, "out/deep/binary")).equals(bytes));
  });

  test("what becomes of names: files, folders, archives, texts", async () => {
    const out = (name: string) => join(folder, "names", name);
    mkdirSync(join(folder, "tree/sub/empty"), { recursive: true });
    mkdirSync(out("there"), { recursive: true });
    writeFileSync(join(folder, "tree/a"), "a", { mode: 0o700 });
    writeFileSync(join(folder, "tree/sub/b"), "");
    symlinkSync("a", join(folder, "tree/link"));
    writeFileSync(join(folder, "pack.tgz"), "not unpacked");

    await copy(asset({ path: "tree/a" }), out("there"));
    assert.equal(readFileSync(out("there/a"), "utf8"), "a", "a file into a folder");
    writeFileSync(out("old"), "long before", { mode: 0o640 });
    await copy(asset({ path: "tree/a" }), out("old"));
    assert.equal(readFileSync(out("old"), "utf8"), "a", "a file over a file");
    assert.equal(statSync(out("old")).mode & 0o777, 0o640, "which keeps its mode");
    assert.equal(statSync(out("there/a")).mode & 0o777, 0o644, "a new one gets the server's, not that of the source");
    await copy(asset({ text: "" }), out("no/such/folder/text"));
    assert.equal(readFileSync(out("no/such/folder/text"), "utf8"), "");
    await copy(archive({ path: "tree" }), out("copied"));
    assert.deepEqual(readdirSync(out("copied/tree")).sort(), ["a", "link", "sub"]);
    assert.ok(!lstatSync(out("copied/tree/link")).isSymbolicLink(), "links are followed");
    assert.ok(existsSync(out("copied/tree/sub/empty")));
    await copy(archive({ path: "tree/" }), out("copied"));
    assert.deepEqual(readdirSync(out("copied")).sort(), ["a", "link", "sub", "tree"], "what is in a folder");
    await copy(archive({ path: "pack.tgz" }), out("there"));
    assert.equal(readFileSync(out("there/pack.tgz"), "utf8"), "not unpacked");
    const members = { "one.txt": asset({ text: "1" }), "deep/two": asset({ path: "tree/a" }) };
    await copy(archive({ assets: members }), out("members"));
    assert.equal(readFileSync(out("members/deep/two"), "utf8") + readFileSync(out("members/one.txt"), "utf8"), "a1");
    await make(urns.file, { localPath: "tree/a", remotePath: out("plain") });
    assert.equal(readFileSync(out("plain"), "utf8"), "a");

    assert.match(await failure(copy(archive({ path: "tree/" }), out("old"))), /old exists but is not a directory$/);
    assert.match(await failure(copy(asset({ text: "x" }), out("there"))), /there is a directory; when using a text asset/);
    assert.equal(await failure(copy(asset({ path: "none" }), out("x"))), "open none: no such file or directory");
    assert.match(
      await failure(copy(asset({ text: "x" }), "/proc/none/x")),
      /^failed to create parent directories for \/proc\/none\/x/,
    );
    assert.match(
      await failure(make(urns.file, { localPath: "tree/a", remotePath: out("nowhere/x") })),
      /nowhere\/x: file does not exist$/,
    );
  });

  test("a copy is made again where its content or its place changed, and only then", async () => {
    const target = join(folder, "again");
    const olds = { connection: connection(), remotePath: target, source: asset({ text: "one" }) };
    const update = (news: PropertyMap) => host.provider.update({ id: "x", urn: urns.copy, olds, news }, never);
    await update({ ...olds, connection: connection({ user: "nobody-that-is-there" }) });
    assert.ok(!existsSync(target), "nothing is sent where only the connection changed");
    await update({ ...olds, source: asset({ text: "two" }) });
    assert.equal(readFileSync(target, "utf8"), "two");
    await update({ ...olds, remotePath: `${target}-2` });
    assert.equal(readFileSync(`${target}-2`, "utf8"), "one");
    await host.provider.delete({ id: "x", urn: urns.copy, properties: olds }, never);
    assert.ok(existsSync(target), "deleting leaves the file");
  });

  test("variables that the server takes, and those that it does not", async () => {
    const out = await run({
      create: 'echo "$ACCEPTED_A/$ACCEPTED_B"',
      environment: { ACCEPTED_A: "x y", ACCEPTED_B: "\u00e9" },
    });
    assert.equal(out.stdout, "x y/\u00e9");
    logs.length = 0;
    const marker = join(folder, "must-not-run");
    const refused = run({ create: `touch ${marker}`, environment: { ACCEPTED_A: "1", OTHER: secret("pl4nted") } });
    assert.equal(await failure(refused), 'could not set environment variable "OTHER": ssh: setenv failed');
    assert.ok(!existsSync(marker), "the command did not run without it");
    assert.deepEqual(
      logs.map(({ severity, message }) => [severity, message.split("\n")[0]]),
      [["error", "Unable to set 'OTHER'. This only works if your SSH server is configured to accept"]],
    );
    logs.length = 0;
    const news = { connection: connection(), create: 'echo "[$PULUMI_COMMAND_STDOUT$PULUMI_COMMAND_STDERR]"' };
    const update = async (more: PropertyMap, stdout = "old") => {
      const olds = { ...news, stdout, stderr: "err" };
      return (await host.provider.update({ id: "x", urn: urns.command, olds, news: { ...news, ...more } }, never)).properties
        ?.stdout;
    };
    assert.equal(await update({}), "[old]");
    assert.deepEqual(logs.map(({ severity }) => severity).sort(), ["info", "warning"], "the refused one is told");
    assert.equal(await update({}, "x".repeat(300_000)), "[]", "one that no system takes is left out");
    assert.equal(await update({ addPreviousOutputInEnv: false }), "[]");
  });

  test("secrets are in no message and no line", async () => {
    const token = "t0ken-of-many-letters";
    const keyLine = host.key.privateKey.split("\n")[2] ?? "";
    logs.length = 0;
    const properties = {
      create: secret(`echo key=${token}; cat; exit 1`),
      stdin: secret(`${token}\n${keyLine}\n`),
      environment: { ACCEPTED_A: secret(token) },
    };
    const text = await failure(run(properties));
    assert.equal(text, "Process exited with status 1: running [secret]:\nkey=[secret]\n[secret]\n");
    const shown = await run({ create: `echo '${keyLine}'; id -un` });
    assert.match(String(shown.stdout), new RegExp(host.sshd.user));
    const all = JSON.stringify(logs);
    assert.ok(all.includes("[secret]") && !all.includes(token) && !all.includes(keyLine));
    assert.ok(all.includes(host.sshd.user), "a user's name is no secret, though the connection is one as a whole");
  });

  test("fifty commands and some copies share one connection, a few at a time", async () => {
    const by = newProvider(() => {});
    const before = host.sshd.connections();
    const logins = host.sshd.logins();
    const counter = join(folder, "sessions");
    mkdirSync(counter);
    const create = `touch ${counter}/$$; ls ${counter} | wc -l; sleep 0.05; rm ${counter}/$$; cat`;
    const commands = Array.from({ length: 50 }, (_, index) => run({ create, stdin: `command ${index}` }, { by }));
    const copies = Array.from({ length: 5 }, (_, index) =>
      copy(asset({ text: `copy ${index}` }), join(folder, `copy-${index}`), { by }),
    );
    const outputs = await Promise.all(commands);
    await Promise.all(copies);
    for (const [index, { stdout }] of outputs.entries()) assert.match(String(stdout), new RegExp(`\\ncommand ${index}$`));
    for (const index of copies.keys()) assert.equal(readFileSync(join(folder, `copy-${index}`), "utf8"), `copy ${index}`);
    const most = Math.max(...outputs.map(({ stdout }) => Number.parseInt(String(stdout), 10)));
    assert.ok(most > 1 && most <= 8, `${most} at once`);
    assert.equal(host.sshd.logins(), logins + 1);
    await by.close();
    await until(() => host.sshd.connections() <= before);
  });

  test("a server that allows fewer sessions gets fewer at a time", async () => {
    const small = await startSshd({ authorizedKeys: [host.key.publicKey], config: ["MaxSessions 2"] });
    try {
      const where = { connection: connection({ port: small.port, hostKey: small.hostKey }) };
      const outputs = await Promise.all(Array.from({ length: 10 }, (_, index) => run({ create: `echo ${index}`, ...where })));
      assert.deepEqual(
        outputs.map(({ stdout }) => stdout),
        Array.from({ length: 10 }, (_, index) => `${index}`),
      );
      assert.equal(small.logins(), 1);
    } finally {
      await small.stop();
    }
  });

  test("cancelling and time limits end a command and its channel, for root once it writes", async () => {
    const running = (name: string) => Number.parseInt(readFileSync(join(folder, name), "utf8"), 10);
    const endless = (name: string) => `echo $$ > ${join(folder, name)}; while echo on; do sleep 0.05; done`;
    const hasBegun = (name: string) => until(() => existsSync(join(folder, name)) && running(name) > 0);
    const stop = new AbortController();
    const aborted = failure(run({ create: endless("aborted"), logging: "none" }, { signal: stop.signal }));
    await hasBegun("aborted");
    stop.abort();
    assert.match(await aborted, /^(Process exited with status 137 from signal KILL|context canceled): running/);
    await gone(running("aborted"));
    // OpenSSH was asked to kill it, and says so where it does that for no root.
    if ((await aborted).startsWith("context")) assert.match(host.sshd.log(), /session_signal_req/);

    logs.length = 0;
    const late = failure(run({ create: endless("late"), logging: "none" }, { timeout: 3 }));
    assert.match(await late, /^(Process exited with status 137 from signal KILL|context deadline exceeded): running/);
    assert.ok(logs.some(({ severity, message }) => severity === "warning" && message.includes("timeout of 3 seconds")));
    await gone(running("late"));

    const by = newProvider(() => {});
    const cancelled = failure(run({ create: endless("cancelled"), logging: "none" }, { by }));
    await hasBegun("cancelled");
    await by.cancel();
    assert.match(await cancelled, /^(Process exited with status 137 from signal KILL|context canceled): running/);
    await gone(running("cancelled"));
    assert.equal(await failure(run({ create: "true" }, { by })), "context canceled");
    await by.close();
    assert.equal((await run({ create: "echo still" })).stdout, "still", "others go on");
  });
});
