/** The command provider on a remote host: a real sshd on loopback, with keys, commands, copies and failures. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import ssh2 from "ssh2";
import { createGuardian } from "../../engine/guardian.ts";
import { createCommandProvider } from "../../engine/providers/command/provider.ts";
import { type Provider, ProviderError, type ProviderLog } from "../../engine/providers/provider.ts";
import { type PropertyMap, secret, signatureKey, signatures, unknown } from "../../engine/values.ts";
import { gone } from "../support/processes.ts";
import { type KeyPair, makeKey, type Sshd, startSshd, whyNoSshd } from "../support/sshd.ts";

const why = whyNoSshd();
const never = new AbortController().signal;
const urns = {
  command: "urn:pulumi:dev::p::command:remote:Command::x",
  copy: "urn:pulumi:dev::p::command:remote:CopyToRemote::x",
  file: "urn:pulumi:dev::p::command:remote:CopyFile::x",
};

describe("remote commands and copies", { skip: why }, () => {
  const folder = mkdtempSync(join(tmpdir(), "engine-remote-"));
  const guardian = createGuardian();
  const logs: ProviderLog[] = [];
  let key: KeyPair;
  let sshd: Sshd;
  let provider: Provider;

  before(async () => {
    key = makeKey(folder, "key");
    sshd = await startSshd({ authorizedKeys: [key.publicKey], config: ["AcceptEnv ACCEPTED_* PULUMI_COMMAND_STDOUT"] });
    provider = newProvider();
  });
  after(async () => {
    await provider.close();
    guardian.close();
    await sshd.stop();
    rmSync(folder, { recursive: true });
  });

  function newProvider(log: (entry: ProviderLog) => void = (entry) => logs.push(entry)): Provider {
    return createCommandProvider({ programDirectory: folder, guardian, log });
  }

  function connection(more: PropertyMap = {}): PropertyMap {
    return {
      host: "127.0.0.1",
      port: sshd.port,
      user: sshd.user,
      hostKey: sshd.hostKey,
      privateKey: key.privateKey,
      dialErrorLimit: 0,
      ...more,
    };
  }

  /** A life as the engine makes it: Check first, then Create with what it gave back. */
  async function make(
    urn: string,
    inputs: PropertyMap,
    options: { by?: Provider; signal?: AbortSignal; timeout?: number } = {},
  ) {
    const { by = provider, signal = never, timeout } = options;
    const given = { connection: connection(), ...inputs };
    const { inputs: properties, failures } = await by.check({ urn, news: given });
    assert.deepEqual(failures ?? [], []);
    return (await by.create({ urn, properties, ...(timeout ? { timeout } : {}) }, signal)).properties ?? {};
  }
  const run = (inputs: PropertyMap, options?: Parameters<typeof make>[2]) => make(urns.command, inputs, options);
  const copy = (source: PropertyMap, remotePath: string, options?: Parameters<typeof make>[2]) =>
    make(urns.copy, { source, remotePath }, options);

  async function failure(work: Promise<unknown>): Promise<string> {
    try {
      await work;
    } catch (error) {
      assert.ok(error instanceof ProviderError, String(error));
      return error.message;
    }
    return assert.fail("it did not fail");
  }

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
    const update = (news: PropertyMap) => provider.update({ id: "x", urn: urns.copy, olds, news }, never);
    await update({ ...olds, connection: connection({ user: "nobody-that-is-there" }) });
    assert.ok(!existsSync(target), "nothing is sent where only the connection changed");
    await update({ ...olds, source: asset({ text: "two" }) });
    assert.equal(readFileSync(target, "utf8"), "two");
    await update({ ...olds, remotePath: `${target}-2` });
    assert.equal(readFileSync(`${target}-2`, "utf8"), "one");
    await provider.delete({ id: "x", urn: urns.copy, properties: olds }, never);
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
      return (await provider.update({ id: "x", urn: urns.command, olds, news: { ...news, ...more } }, never)).properties
        ?.stdout;
    };
    assert.equal(await update({}), "[old]");
    assert.deepEqual(logs.map(({ severity }) => severity).sort(), ["info", "warning"], "the refused one is told");
    assert.equal(await update({}, "x".repeat(300_000)), "[]", "one that no system takes is left out");
    assert.equal(await update({ addPreviousOutputInEnv: false }), "[]");
  });

  test("secrets are in no message and no line", async () => {
    const token = "t0ken-of-many-letters";
    const keyLine = key.privateKey.split("\n")[2] ?? "";
    logs.length = 0;
    const properties = {
      create: secret(`echo key=${token}; cat; exit 1`),
      stdin: secret(`${token}\n${keyLine}\n`),
      environment: { ACCEPTED_A: secret(token) },
    };
    const text = await failure(run(properties));
    assert.equal(text, "Process exited with status 1: running [secret]:\nkey=[secret]\n[secret]\n");
    const shown = await run({ create: `echo '${keyLine}'; id -un` });
    assert.match(String(shown.stdout), new RegExp(sshd.user));
    const all = JSON.stringify(logs);
    assert.ok(all.includes("[secret]") && !all.includes(token) && !all.includes(keyLine));
    assert.ok(all.includes(sshd.user), "a user's name is no secret, though the connection is one as a whole");
  });

  test("keys: with a passphrase, of other kinds, from an agent; and what is wrong with one is said at once", async () => {
    const locked = makeKey(folder, "locked", "pass phrase");
    const kinds = ["rsa", "ecdsa"].map((type) => makeKey(folder, type, "", type));
    const other = await startSshd({ authorizedKeys: [locked, ...kinds].map(({ publicKey }) => publicKey) });
    const agent = spawn("ssh-agent", ["-D", "-a", join(folder, "agent")], { stdio: "ignore" });
    try {
      const on = (more: PropertyMap) =>
        run({ create: "echo in", connection: connection({ port: other.port, hostKey: other.hostKey, ...more }) });
      for (const { privateKey } of kinds) assert.equal((await on({ privateKey: privateKey.trim() })).stdout, "in");
      const { privateKey, file } = locked;
      assert.equal((await on({ privateKey, privateKeyPassword: "pass phrase" })).stdout, "in");
      assert.match(await failure(on({ privateKey })), /^connection\.privateKey: ssh: this private key is passphrase protected/);
      const wrong = await failure(on({ privateKey, privateKeyPassword: "another one" }));
      assert.match(wrong, /^connection\.privateKeyPassword: x509: decryption password incorrect/);
      assert.ok(!wrong.includes("another one"));
      assert.match(await failure(on({ privateKey: "none" })), /^connection\.privateKey: ssh: no key found/);
      const stranger = await failure(on({}));
      assert.equal(
        stranger,
        "after 0 failed attempts: ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey], no supported methods remain",
      );
      const agentSocketPath = join(folder, "agent");
      await until(() => existsSync(agentSocketPath));
      const askpass = join(folder, "askpass");
      writeFileSync(askpass, "#!/bin/sh\necho 'pass phrase'\n", { mode: 0o700 });
      execFileSync("ssh-add", ["-q", file], {
        env: { ...process.env, SSH_AUTH_SOCK: agentSocketPath, SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: "force" },
        stdio: ["ignore", "ignore", "ignore"],
      });
      const byAgent = { create: "echo in", connection: { ...connection({ agentSocketPath }), privateKey: null } };
      byAgent.connection = {
        ...byAgent.connection,
        ...connection({ agentSocketPath, port: other.port, hostKey: other.hostKey }),
        privateKey: null,
      };
      assert.equal((await run(byAgent)).stdout, "in");
      assert.equal(
        await failure(on({ agentSocketPath: join(folder, "no-agent") })),
        `connection.agentSocketPath: dial unix ${join(folder, "no-agent")}: connect: no such file or directory`,
      );
    } finally {
      agent.kill();
      await other.stop();
    }
  });

  test("a wrong or missing host key ends all before a secret or a command is sent", async () => {
    const stranger = makeKey(folder, "stranger").publicKey;
    const logins = sshd.logins();
    const text = await failure(run({ create: "true", connection: connection({ hostKey: stranger, dialErrorLimit: 1 }) }));
    assert.equal(text, "after 1 failed attempts: ssh: handshake failed: ssh: host key mismatch");
    const rsa = makeKey(folder, "stranger-rsa", "", "rsa").publicKey;
    assert.match(
      await failure(run({ create: "true", connection: connection({ hostKey: rsa }) })),
      /ssh: handshake failed: .*host key/,
    );
    assert.equal(sshd.logins(), logins);
    const reasons = async (hostKey: PropertyMap) => {
      const { failures } = await provider.check({
        urn: urns.command,
        news: { create: "true", connection: { ...connection(), ...hostKey } },
      });
      return failures?.map(({ property }) => property);
    };
    assert.deepEqual(await reasons({ hostKey: null }), ["connection.hostKey"]);
    assert.deepEqual(await reasons({ hostKey: "nonsense" }), ["connection.hostKey"]);
    assert.deepEqual(await reasons({ proxy: { host: "x" } }), ["connection.proxy.hostKey"]);
    assert.equal(await reasons({ hostKey: unknown }), undefined);
    const old = { connection: { ...connection(), hostKey: null }, delete: "true" };
    assert.match(
      await failure(provider.delete({ id: "x", urn: urns.command, properties: old }, never)),
      /^connection\.hostKey is missing/,
    );
  });

  test("fifty commands and some copies share one connection, a few at a time", async () => {
    const by = newProvider(() => {});
    const before = sshd.connections();
    const logins = sshd.logins();
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
    assert.equal(sshd.logins(), logins + 1);
    await by.close();
    await until(() => sshd.connections() <= before);
  });

  test("a server that allows fewer sessions gets fewer at a time", async () => {
    const small = await startSshd({ authorizedKeys: [key.publicKey], config: ["MaxSessions 2"] });
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

  test("a bastion leads to a host; what fails on the way is told with its place", async () => {
    const bastion = await startSshd({ authorizedKeys: [key.publicKey] });
    try {
      const proxy = connection({ port: bastion.port, hostKey: bastion.hostKey });
      const through = (more: PropertyMap, way: PropertyMap = {}) =>
        run({ create: "echo there", connection: connection({ ...more, proxy: { ...proxy, ...way } }) });
      const logins = sshd.logins();
      assert.equal((await through({})).stdout, "there");
      assert.deepEqual([bastion.logins(), sshd.logins()], [1, logins + 1]);
      const mismatch = "proxy: after 0 failed attempts: ssh: handshake failed: ssh: host key mismatch";
      assert.equal(await failure(through({ hostKey: bastion.hostKey })), mismatch);
      assert.equal(await failure(through({}, { hostKey: sshd.hostKey })), mismatch);
      assert.match(await failure(through({ port: 1 })), /^proxy: after 0 failed attempts: ssh: rejected: connect failed \(/);
    } finally {
      await bastion.stop();
    }
  });

  test("a server that comes late is tried again, and one that never comes is told after the last try", async () => {
    const late = await startSshd({ authorizedKeys: [key.publicKey] });
    await late.stop();
    logs.length = 0;
    const address = `127.0.0.1:${late.port}`;
    const refused = failure(run({ create: "true", connection: connection({ port: late.port, dialErrorLimit: 2 }) }));
    assert.equal(await refused, `after 2 failed attempts: dial tcp ${address}: connect: connection refused`);
    assert.deepEqual(
      logs.map(({ message }) => message),
      ["Dial 1/2 failed: retrying", "Dial 2/2 failed: retrying"],
    );
    logs.length = 0;
    const stop = new AbortController();
    const patient = connection({ port: late.port, dialErrorLimit: -1, hostKey: late.hostKey });
    const given = failure(run({ create: "true", connection: patient }, { signal: stop.signal }));
    await until(() => logs.length > 1);
    assert.equal(logs[1]?.message, "Dial 2/inf failed: retrying");
    stop.abort();
    assert.equal(await given, "context canceled");

    logs.length = 0;
    let refusals = 3;
    const gate = createServer((socket) => {
      if (refusals-- > 0) return socket.destroy();
      const onward = connect(sshd.port, "127.0.0.1");
      socket
        .on("error", () => {})
        .pipe(onward.on("error", () => {}))
        .pipe(socket);
    });
    await new Promise<void>((resolve) => gate.listen(0, "127.0.0.1", resolve));
    const bound = gate.address();
    assert.ok(bound && typeof bound === "object");
    const out = await run({ create: "echo late", connection: connection({ port: bound.port, dialErrorLimit: 5 }) });
    assert.equal(out.stdout, "late");
    assert.equal(logs.filter(({ message }) => message.includes("failed: retrying")).length, 3);
    gate.close();
  });

  test("a connection that is cut fails what runs on it, and the next one works", async () => {
    const by = newProvider(() => {});
    const weak = await startSshd({ authorizedKeys: [key.publicKey] });
    try {
      const where = { connection: connection({ port: weak.port, hostKey: weak.hostKey }) };
      const begun = join(folder, "cut-begun");
      const running = failure(run({ create: `echo said; touch ${begun}; sleep 60`, ...where }, { by }));
      await until(() => existsSync(begun));
      weak.cutConnections();
      const text = await running;
      assert.match(
        text,
        /^wait: remote command exited without exit status or exit signal: running "echo said; [^"]*":\nsaid\n$/,
      );
      assert.equal((await run({ create: "echo again", ...where }, { by })).stdout, "again");

      const source = join(folder, "large");
      writeFileSync(source, Buffer.alloc(64 << 20, "large"));
      const target = join(folder, "large-copy");
      const inputs = { source: asset({ path: source }), remotePath: target, ...where };
      const copying = failure(make(urns.copy, inputs, { by }));
      await until(() => existsSync(target) && statSync(target).size > 1 << 20);
      weak.cutConnections();
      assert.equal(await copying, `failed to copy file ${source} to remote path ${target}: connection lost`);
      assert.ok(statSync(target).size < 64 << 20);
      await make(urns.copy, inputs, { by });
      assert.ok(readFileSync(target).equals(readFileSync(source)), "made again, it is whole");
    } finally {
      await by.close();
      await weak.stop();
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
    if ((await aborted).startsWith("context")) assert.match(sshd.log(), /session_signal_req/);

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

  // OpenSSH checks passwords by PAM or the shadow file alone, which a test must not change: a server of the library's own.
  test("a password, in both ways of asking, and what a server hears when a command is cancelled", async () => {
    const heard: string[] = [];
    const hostKey = makeKey(folder, "password-host");
    let ways = ["password"];
    const server = new ssh2.Server({ hostKeys: [hostKey.privateKey] }, (client) => {
      client.on("error", () => {});
      client.on("authentication", (context) => {
        if (context.method === "password" && ways.includes("password") && context.password === "pl4nted pass") {
          return context.accept();
        }
        if (context.method !== "keyboard-interactive" || !ways.includes(context.method)) {
          return context.reject(["password", "keyboard-interactive"].filter((way) => ways.includes(way)).map(asWay));
        }
        context.prompt([{ prompt: "Password: ", echo: false }], ([answer]) => {
          if (answer === "pl4nted pass") context.accept();
          else context.reject();
        });
      });
      client.on("session", (accept) => {
        const session = accept();
        session.on("exec", (take, _refuse, { command }) => {
          const channel = take();
          channel.resume().on("close", () => heard.push("close"));
          heard.push(command);
          if (command === "endless") return;
          channel.write(`did ${command}`);
          channel.exit(0);
          channel.end();
        });
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const bound = server.address();
    assert.ok(bound && typeof bound === "object");
    try {
      const where = (password: string) => ({
        connection: {
          ...connection({ port: bound.port, hostKey: hostKey.publicKey, password: secret(password) }),
          privateKey: null,
        },
      });
      assert.equal((await run({ create: "one", ...where("pl4nted pass") })).stdout, "did one");
      ways = ["keyboard-interactive"];
      const by = newProvider(() => {});
      assert.equal((await run({ create: "two", ...where("pl4nted pass") }, { by })).stdout, "did two");
      await by.close();
      const wrong = await failure(run({ create: "three", ...where("wrong pl4nted") }));
      assert.match(wrong, /unable to authenticate, attempted methods \[none keyboard-interactive\]/);
      assert.ok(!wrong.includes("pl4nted"));
      heard.length = 0;
      const stop = new AbortController();
      const cancelled = failure(run({ create: "endless", ...where("pl4nted pass") }, { signal: stop.signal }));
      await until(() => heard.includes("endless"));
      stop.abort();
      assert.equal(await cancelled, 'context canceled: running "endless":\n');
      await until(() => heard.includes("close"));
      assert.deepEqual(heard, ["endless", "close"]);
    } finally {
      server.close();
    }
  });
});

function asWay(name: string): "password" | "keyboard-interactive" {
  return name === "password" ? "password" : "keyboard-interactive";
}

function asset(content: PropertyMap): PropertyMap {
  return { [signatureKey]: signatures.asset, hash: randomBytes(8).toString("hex"), ...content };
}

function archive(content: PropertyMap): PropertyMap {
  return { [signatureKey]: signatures.archive, hash: randomBytes(8).toString("hex"), ...content };
}

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 20_000;
  while (!condition()) {
    assert.ok(Date.now() < end, "it did not happen in 20 s");
    await pause(20);
  }
}
