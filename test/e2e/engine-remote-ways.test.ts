/** How the command provider gets to a remote host: keys, passwords, host keys, bastions, retries and cut connections. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import ssh2 from "ssh2";
import { type PropertyMap, secret, unknown } from "../../engine/values.ts";
import { failure } from "../support/provider-call.ts";
import { asset, never, remoteHost, until, urns } from "../support/remote-host.ts";
import { makeKey, startSshd, whyNoSshd } from "../support/sshd.ts";

describe("ways to a remote host", { skip: whyNoSshd() }, () => {
  const host = remoteHost();
  const { folder, logs, newProvider, connection, make, run } = host;
  before(host.start);
  after(host.stop);

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
    const logins = host.sshd.logins();
    const text = await failure(run({ create: "true", connection: connection({ hostKey: stranger, dialErrorLimit: 1 }) }));
    assert.equal(text, "after 1 failed attempts: ssh: handshake failed: ssh: host key mismatch");
    const rsa = makeKey(folder, "stranger-rsa", "", "rsa").publicKey;
    assert.match(
      await failure(run({ create: "true", connection: connection({ hostKey: rsa }) })),
      /ssh: handshake failed: .*host key/,
    );
    assert.equal(host.sshd.logins(), logins);
    const reasons = async (hostKey: PropertyMap) => {
      const { failures } = await host.provider.check({
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
      await failure(host.provider.delete({ id: "x", urn: urns.command, properties: old }, never)),
      /^connection\.hostKey is missing/,
    );
  });

  test("a bastion leads to a host; what fails on the way is told with its place", async () => {
    const bastion = await startSshd({ authorizedKeys: [host.key.publicKey] });
    try {
      const proxy = connection({ port: bastion.port, hostKey: bastion.hostKey });
      const through = (more: PropertyMap, way: PropertyMap = {}) =>
        run({ create: "echo there", connection: connection({ ...more, proxy: { ...proxy, ...way } }) });
      const logins = host.sshd.logins();
      assert.equal((await through({})).stdout, "there");
      assert.deepEqual([bastion.logins(), host.sshd.logins()], [1, logins + 1]);
      const mismatch = "proxy: after 0 failed attempts: ssh: handshake failed: ssh: host key mismatch";
      assert.equal(await failure(through({ hostKey: bastion.hostKey })), mismatch);
      assert.equal(await failure(through({}, { hostKey: host.sshd.hostKey })), mismatch);
      assert.match(await failure(through({ port: 1 })), /^proxy: after 0 failed attempts: ssh: rejected: connect failed \(/);
    } finally {
      await bastion.stop();
    }
  });

  test("a server that comes late is tried again, and one that never comes is told after the last try", async () => {
    const late = await startSshd({ authorizedKeys: [host.key.publicKey] });
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
      const onward = connect(host.sshd.port, "127.0.0.1");
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
    const weak = await startSshd({ authorizedKeys: [host.key.publicKey] });
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
