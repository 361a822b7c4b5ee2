/** A Docker daemon behind TLS: the right papers on both sides let the stack in, and any wrong one keeps both sides apart. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { connectDocker } from "../../infra/components/docker/client.ts";
import { type Authority, makeAuthority } from "../support/certificates.ts";
import { bridgeAddress, startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { type DockerStackTest, makeDockerStack } from "../support/docker-stack.ts";
import { volumeThrough } from "../support/docker-volume.ts";
import { freePort } from "../support/free-port.ts";

describe("a Docker daemon behind TLS", { skip: whyNoDocker() ?? false, timeout: 300_000 }, () => {
  const base = mkdtempSync(join(tmpdir(), "docker-tls-"));
  let docker: TestDocker;
  let stack: DockerStackTest;
  let host = "";
  /** Folders as `docker.certificates` names them. */
  const folders = { right: "", otherAuthority: "", otherClient: "" };

  before(async () => {
    const own = authorityIn("own");
    const other = authorityIn("other");
    const client = own.issue("client", ["client"]);
    const stranger = other.issue("client", ["client"]);
    const server = own.issue("server", ["127.0.0.1"]);
    folders.right = papers("right", own.ca, client);
    folders.otherAuthority = papers("other-authority", other.ca, client);
    folders.otherClient = papers("other-client", own.ca, stranger);
    const daemon = papers("daemon", own.ca, server);
    const port = await freePort();
    const files = [
      "--tlscacert",
      join(daemon, "ca.pem"),
      "--tlscert",
      join(daemon, "cert.pem"),
      "--tlskey",
      join(daemon, "key.pem"),
    ];
    docker = await startDocker(["-H", `tcp://127.0.0.1:${port}`, "--tlsverify", ...files]);
    host = `tcp://127.0.0.1:${port}`;
    stack = await makeDockerStack(docker, bridgeAddress(docker.bridge));
  });
  after(async () => {
    await docker?.close();
    await stack?.clone.remove();
    rmSync(base, { recursive: true });
  });

  function authorityIn(name: string): Authority {
    mkdirSync(join(base, name));
    return makeAuthority(join(base, name));
  }

  function papers(name: string, ca: string, { cert, key }: { cert: string; key: string }): string {
    const folder = join(base, `papers-${name}`);
    mkdirSync(folder);
    for (const [file, text] of Object.entries({ "ca.pem": ca, "cert.pem": cert, "key.pem": key })) {
      writeFileSync(join(folder, file), text, { mode: 0o600 });
    }
    return folder;
  }

  /** As the programs do that write files and look at containers. */
  async function throughClient(certificates: string): Promise<string> {
    const client = connectDocker({ host, sshOptions: [], certificates });
    try {
      const { ServerVersion } = await client.json({ method: "GET", path: "/info" }, z.object({ ServerVersion: z.string() }));
      return ServerVersion;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      client.close();
    }
  }

  test("the engine's provider: in with the right certificates, and with no others", async () => {
    assert.equal(await volumeThrough({ host, certPath: folders.right }, base), "way");
    const refused = [
      [await volumeThrough({ host, certPath: folders.otherAuthority }, base), /certificate/],
      [await volumeThrough({ host, certPath: folders.otherClient }, base), /certificate|unknown ca|ECONNRESET|EPIPE/i],
      [await volumeThrough({ host }, base), /Error pinging Docker server/],
    ] as const;
    for (const [said, expected] of refused) {
      assert.match(said, expected);
      assert.ok(!said.includes("PRIVATE KEY"));
    }
  });

  test("what looks at the host and writes to it: the same", async () => {
    assert.match(await throughClient(folders.right), /^\d+\.\d+/);
    assert.match(await throughClient(folders.otherAuthority), /certificate/);
    assert.match(await throughClient(folders.otherClient), /certificate|unknown ca|ECONNRESET|EPIPE/i);
  });

  test("the stack file's host and certificates: the doctor gets there, or says why not", async () => {
    const section = { host, addresses: ["127.0.0.1"], directory: stack.directory };
    stack.settings({ docker: { ...section, certificates: folders.right } });
    assert.match((await stack.clone.operate(["doctor", "-s", "dock"])).text, /^ok +Docker daemon$/m);
    stack.settings({ docker: { ...section, certificates: folders.otherAuthority } });
    const refused = await stack.clone.operate(["doctor", "-s", "dock"]);
    assert.notEqual(refused.code, 0);
    assert.doesNotMatch(refused.text, /^ok +Docker daemon$/m);
    assert.match(refused.text, /certificate/);
    assert.doesNotMatch(refused.text, /PRIVATE KEY/);
  });
});
