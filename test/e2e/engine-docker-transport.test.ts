/** How the docker provider reaches a daemon (TLS, ssh) and registries: with the right papers, and not without. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createServer } from "node:tls";
import { createDockerProvider } from "../../engine/providers/docker/provider.ts";
import { ProviderError } from "../../engine/providers/provider.ts";
import { bcrypt } from "../../engine/providers/random/bcrypt.ts";
import type { PropertyMap } from "../../engine/values.ts";
import { type Authority, makeAuthority } from "../support/certificates.ts";
import { startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { volumeThrough } from "../support/docker-volume.ts";
import { freePort } from "../support/free-port.ts";

const skip = whyNoDocker({ "docker-registry": "docker-registry" });
const password = "pl4nted-registry-passw0rd";

describe("ways to a daemon and to images", { skip: skip ?? false }, () => {
  let docker: TestDocker;
  let authority: Authority;
  const folder = mkdtempSync(join(tmpdir(), "docker-ways-"));
  const path = process.env.PATH ?? "";

  before(async () => {
    docker = await startDocker();
    await docker.importBase("base:1");
    authority = makeAuthority(folder);
  });
  after(async () => {
    process.env.PATH = path;
    await docker?.close();
    rmSync(folder, { recursive: true });
  });

  const use = (args: PropertyMap): Promise<string> => volumeThrough(args, folder);

  test("TLS with certificates on both sides", async (t) => {
    const server = authority.issue("server", ["127.0.0.1"]);
    const client = authority.issue("client", ["client"]);
    const listener = createServer({ ca: authority.ca, cert: server.cert, key: server.key, requestCert: true }, (socket) => {
      const inner = connect(docker.host.slice("unix://".length));
      inner.on("error", () => socket.destroy());
      socket.on("error", () => inner.destroy());
      socket.pipe(inner).pipe(socket);
    }).listen(0, "127.0.0.1");
    await once(listener, "listening");
    t.after(() => listener.close());
    const address = listener.address();
    const host = `tcp://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
    const material = { caMaterial: authority.ca, certMaterial: client.cert, keyMaterial: client.key };
    assert.equal(await use({ host, ...material }), "way");
    const refused = await use({ host });
    assert.match(refused, /Error pinging Docker server/, "no plain text to a TLS port");
    const other = mkdtempSync(join(folder, "other-"));
    const stranger = await use({ host, ...material, caMaterial: makeAuthority(other).ca });
    assert.match(stranger, /certificate/, "a server of somebody else");
    for (const text of [refused, stranger]) assert.ok(!text.includes("PRIVATE KEY"));
  });

  test("ssh, which must know the host's key whatever the options say", async () => {
    const said = join(folder, "ssh-arguments");
    const stand = join(folder, "ssh");
    const relay = `const s = require("net").connect(${JSON.stringify(docker.host.slice("unix://".length))}); process.stdin.pipe(s).pipe(process.stdout);`;
    writeFileSync(stand, `#!/bin/sh\nprintf '%s\\n' "$@" > ${said}\nexec ${process.execPath} -e '${relay}'\n`);
    chmodSync(stand, 0o755);
    process.env.PATH = `${folder}${delimiter}${path}`;
    const host = "ssh://deploy@server.test:2222";
    assert.equal(await use({ host, sshOpts: '["-o", "StrictHostKeyChecking=no"]' }), "way");
    const words = readFileSync(said, "utf8").split("\n");
    assert.equal(words[1], "StrictHostKeyChecking=yes", "ssh takes the first value");
    assert.deepEqual(words.slice(-9, -1), [
      "StrictHostKeyChecking=no",
      "-l",
      "deploy",
      "-p",
      "2222",
      "--",
      "server.test",
      "docker system dial-stdio",
    ]);
    writeFileSync(stand, "#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n");
    assert.match(await use({ host }), /ssh to server\.test ended with 255: Host key verification failed\./);
    process.env.PATH = path;
  });

  test("a registry with a login: pulled with it, refused without", async (t) => {
    const port = await freePort();
    writeFileSync(join(folder, "htpasswd"), `puller:${bcrypt(password, 5)}\n`);
    const config = [
      "version: 0.1",
      `storage: {filesystem: {rootdirectory: ${join(folder, "registry")}}}`,
      `http: {addr: "127.0.0.1:${port}"}`,
      `auth: {htpasswd: {realm: test, path: ${join(folder, "htpasswd")}}}`,
    ];
    writeFileSync(join(folder, "registry.yml"), `${config.join("\n")}\n`);
    const registry = spawn("docker-registry", ["serve", join(folder, "registry.yml")], { stdio: "ignore" });
    t.after(async () => {
      const closed = once(registry, "close");
      registry.kill();
      await closed;
    });
    await listening(port);
    const signal = AbortSignal.timeout(60_000);
    const name = `127.0.0.1:${port}/some/base:1`;
    const login = Buffer.from(JSON.stringify({ username: "puller", password })).toString("base64url");
    const repo = name.slice(0, -2);
    await docker.daemon.bytes({ method: "POST", path: "/images/base:1/tag", query: { repo, tag: "1" } }, signal);
    const push = { method: "POST" as const, path: `/images/${repo}/push`, query: { tag: "1" } };
    for await (const message of docker.daemon.messages({ ...push, headers: { "x-registry-auth": login } }, signal)) {
      assert.equal(message.error, undefined);
    }
    await docker.daemon.bytes({ method: "DELETE", path: `/images/${name}` }, signal);

    const urn = "urn:pulumi:dev::p::docker:index/remoteImage:RemoteImage::x";
    const entry = { address: `127.0.0.1:${port}`, username: "puller", password };
    for (const right of [false, true]) {
      const provider = createDockerProvider({ programDirectory: folder, log() {} });
      const registryAuth = JSON.stringify([{ ...entry, password: right ? password : `${password}-wrong` }]);
      await provider.configure({ args: { host: docker.host, registryAuth } });
      const pulled = provider.create({ urn, properties: { name } }, signal);
      if (!right) {
        await assert.rejects(pulled, (error) => {
          assert.ok(error instanceof ProviderError);
          assert.match(error.message, /unable to pull image/);
          return !error.message.includes(password);
        });
      } else {
        const { id = "", properties = {} } = await pulled;
        assert.match(String(properties.repoDigest), new RegExp(`^${repo}@sha256:[0-9a-f]{64}$`));
        await provider.delete({ urn, id, properties }, signal);
        const byDigest = await provider.create({ urn, properties: { name: properties.repoDigest ?? "" } }, signal);
        assert.equal(byDigest.properties?.imageId, properties.imageId);
      }
      await provider.close();
    }
  });
});

async function listening(port: number): Promise<void> {
  for (const until = Date.now() + 20_000; ; ) {
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return;
    } catch (error) {
      if (Date.now() > until) throw error;
      await pause(50);
    } finally {
      socket.destroy();
    }
  }
}
