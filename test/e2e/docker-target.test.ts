/**
 * The target `docker` on a real daemon, in the order in which an operator meets it: deployed by the embedded engine with a
 * certificate from a real ACME server by a real certbot, used over HTTPS, changed, and taken away. One daemon and one stack.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { whyNoDocker } from "../support/docker.ts";
import { type DockerDeployment, startDockerDeployment } from "../support/docker-deployment.ts";
import { eventually } from "../support/eventually.ts";
import { type NameServer, startNameServer, whyNoNameServer } from "../support/name-server.ts";
import { type Pebble, startPebble, whyNoPebble } from "../support/pebble.ts";
import { plantSecrets, searchFor } from "../support/planted-secrets.ts";
import { stackSecret } from "../support/planted-stack.ts";
import { makeKey, startSshd, whyNoSshd } from "../support/sshd.ts";

const skip = whyNoDocker() ?? whyNoPebble() ?? whyNoNameServer();
if (skip) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${skip}`);
const planted = plantSecrets(3);
const [gatewayToken = "", providerKey = "", appToken = ""] = Object.values(planted);
const hmacKey = randomBytes(32).toString("base64url");
const second = "second.example.test";
const patientMs = 300_000;
const unchanged = /created|updated|replaced|deleted/;

const inspectSchema = z.object({
  Config: z.object({ User: z.string(), Env: z.array(z.string()) }),
  HostConfig: z.object({
    ReadonlyRootfs: z.boolean(),
    CapDrop: z.array(z.string()),
    CapAdd: z.array(z.string()).nullable(),
    SecurityOpt: z.array(z.string()),
    Memory: z.int(),
    MemorySwap: z.int(),
    NanoCpus: z.int(),
    PidsLimit: z.int().nullable(),
    Privileged: z.boolean(),
    PortBindings: z.record(z.string(), z.unknown()).nullable(),
    LogConfig: z.object({ Type: z.string(), Config: z.record(z.string(), z.string()) }),
    RestartPolicy: z.object({ Name: z.string() }),
  }),
  State: z.object({ Health: z.object({ Status: z.string(), FailingStreak: z.int() }) }),
});

describe("a stack on a Docker host", { skip: skip ?? false, timeout: 1_200_000 }, () => {
  let deployment: DockerDeployment;
  let pebble: Pebble;
  let nameServer: NameServer | undefined;
  let byDns: Pebble | undefined;
  /** As DNS would say it to the operator's machine. */
  let names: { [name: string]: string } = {};

  before(async () => {
    deployment = await startDockerDeployment({
      "nginx:1.28": "nginx",
      "redis:7.4": "redis",
      "certbot/certbot:v5.1.0": "certbot",
      "certbot/dns-rfc2136:v5.1.0": "certbot-dns",
      "debian:12-slim": "base",
      "debian:12-next": "base",
    });
    const { stack, address, models } = deployment;
    names = { [stack.name]: address, [second]: address };
    // certbot renews what has less than a month left.
    const account = { kid: "account-1", hmacKey };
    const known = { httpPort: stack.ports.http, certificateSeconds: 86_400, externalAccount: account };
    pebble = await startPebble({ address, ...known });
    stack.settings({ models, tokens: [{ id: "app" }], drain: { timeoutMs: 60_000 }, proxy: proxy([stack.name]) });
    await stack.secrets({
      gatewayToken,
      "apiKey-numbers": providerKey,
      "token-app": appToken,
      "secret-acme-account": hmacKey,
    });
  });

  after(async () => {
    await pebble?.stop();
    await byDns?.stop();
    await nameServer?.stop();
    await deployment?.close();
  });

  function proxy(hosts: string[]): object {
    const { directoryUrl: directory, caFile } = pebble;
    const externalAccount = { kid: "account-1", hmacKey: stackSecret("acme-account") };
    const acme = { directory, caFile, externalAccount, checkSeconds: 10 };
    return { names: hosts, ports: deployment.stack.ports, tls: { mode: "acme", acme } };
  }

  const up = (what: string): Promise<string> => deployment.stack.up(what, names);
  const ask = async (token: string): Promise<string> => deployment.stack.ask(token, await pebble.issuerCa());

  async function doctorIsContent(): Promise<void> {
    const { code, text } = await deployment.stack.attempt(["doctor"], names);
    assert.equal(code, 0, text);
    assert.match(text, /^ok +Docker daemon$/m);
  }

  async function inspect(service: string): Promise<z.output<typeof inspectSchema>> {
    const [name = ""] = await deployment.stack.containers(service);
    return inspectSchema.parse(JSON.parse(await deployment.stack.docker(`/containers/${name}/json`)));
  }

  const running = (...services: string[]): Promise<string[][]> => Promise.all(services.map(deployment.stack.containers));

  test("the host is looked at; an authority that refuses is told of in its own words, and all else is up", async () => {
    const { stack } = deployment;
    await doctorIsContent();
    const refused = await stack.attempt(["up", "--yes", "--skip-preview"], names);
    assert.notEqual(refused.code, 0);
    assert.match(refused.text, /certbot got no certificate for ai\.example\.test/);
    assert.match(refused.text, /Domain: ai\.example\.test[\s\S]*Detail: \S/);
    assert.equal((await stack.shown()).issuer, "CN=ai.example.test", "signed by itself");
    assert.match((await stack.run(["status"])).text, /gateway/);
    assert.equal((await inspect("nginx")).State.Health.Status, "healthy");
  });

  test("the next up has the certificate, and the gateway is used under its name", async () => {
    const { stack, address } = deployment;
    await pebble.setAddresses(stack.name, [address]);
    await up("the first certificate");
    await eventually("nginx shows it", async () => /Pebble/.test((await stack.shown()).issuer), patientMs);
    assert.notEqual(await ask(gatewayToken), "");
    assert.notEqual(await ask(appToken), "");
    await assert.rejects(ask("a-wrong-token-of-nobody"), /401/);
    assert.match((await stack.run(["status"])).text, /all containers run/);
    assert.match((await stack.run(["logs", "-n", "50"])).text, /\{/);
  });

  test("each container has bounds and no rights; only the proxy has ports", async () => {
    for (const service of ["gateway-1", "nginx", "certbot"]) {
      const { Config, HostConfig, State } = await inspect(service);
      assert.equal(Config.User, "1000:1000");
      if (service !== "certbot") assert.equal(State.Health.Status, "healthy");
      assert.equal(HostConfig.ReadonlyRootfs, true);
      assert.deepEqual(HostConfig.CapDrop, ["ALL"]);
      assert.deepEqual(HostConfig.CapAdd ?? [], []);
      assert.deepEqual(HostConfig.SecurityOpt, ["no-new-privileges:true"]);
      assert.equal(HostConfig.Privileged, false);
      assert.equal(HostConfig.Memory, (service === "gateway-1" ? 2048 : 256) * 1024 * 1024);
      assert.equal(HostConfig.MemorySwap, HostConfig.Memory);
      assert.ok(HostConfig.NanoCpus > 0 && (HostConfig.PidsLimit ?? 0) > 0);
      assert.deepEqual(HostConfig.LogConfig, { Type: "json-file", Config: { "max-file": "5", "max-size": "50m" } });
      assert.equal(HostConfig.RestartPolicy.Name, "unless-stopped");
      assert.equal(Object.keys(HostConfig.PortBindings ?? {}).length, service === "nginx" ? 2 : 0);
    }
    assert.match(readFileSync(join(deployment.stack.directory, "compose.yaml"), "utf8"), /^ {2}gateway-1:$/m);
  });

  test("without a change nothing is touched; one more name touches no container", async () => {
    const { stack, address } = deployment;
    const before = await running("gateway-1", "nginx", "certbot");
    assert.doesNotMatch(await up("no change"), unchanged);
    await pebble.setAddresses(second, [address]);
    stack.settings({ proxy: proxy([stack.name, second]) });
    await up("one more name");
    await eventually("nginx shows both", async () => (await stack.shown()).checkHost(second) === second, patientMs);
    assert.deepEqual(await running("gateway-1", "nginx", "certbot"), before);
  });

  test("the same host by SSH: looked at, written to, and nothing else changes", { skip: whyNoSshd() ?? false }, async () => {
    const { docker, stack } = deployment;
    const key = makeKey(stack.clone.base, "ssh-key");
    const sshd = await startSshd({ authorizedKeys: [key.publicKey] });
    try {
      const host = `ssh://${sshd.user}@127.0.0.1:${sshd.port}${docker.host.slice("unix://".length)}`;
      const hostKey = sshd.hostKey.split(" ").slice(0, 2).join(" ");
      const before = await running("gateway-1");
      stack.settings({ docker: deployment.section({ host, hostKey, sshKeyFile: key.file }) });
      await doctorIsContent();
      await up("by SSH");
      assert.deepEqual(await running("gateway-1"), before);
      assert.match((await stack.run(["status"])).text, /all containers run/);
      const other = makeKey(stack.clone.base, "other-key").publicKey.split(" ").slice(0, 2).join(" ");
      stack.settings({ docker: deployment.section({ host, hostKey: other, sshKeyFile: key.file }) });
      const refused = await stack.attempt(["up", "--yes"], names);
      assert.notEqual(refused.code, 0);
      assert.match(refused.text, /another key than docker\.hostKey/);
    } finally {
      await sshd.stop();
      stack.settings({ docker: deployment.section() });
    }
  });

  test("by its socket again: an image on another base, a second gateway, and Redis", async () => {
    const { stack } = deployment;
    const [before] = await running("gateway-1");
    stack.settings({ docker: deployment.section({ gateways: 2, images: { base: { name: "debian:12-next" } } }) });
    await up("another image and a second gateway");
    const after = await running("gateway-1", "gateway-2", "redis");
    assert.deepEqual(
      after.map((of) => of.length),
      [1, 1, 1],
    );
    assert.notDeepEqual(after[0], before);
    assert.notEqual(await ask(gatewayToken), "");
  });

  test("a renewal that fails is seen, says no secret, and changes nothing", async () => {
    const { stack } = deployment;
    const [certbot = ""] = await stack.containers("certbot");
    const log = (): Promise<string> => stack.docker(`/containers/${certbot}/logs?stdout=1&stderr=1`);
    const failed = /no new certificate; nginx goes on with the one that it has/g;
    const known = (await log()).match(failed)?.length ?? 0;
    await pebble.setAddresses(second, []);
    await eventually("it failed", async () => ((await log()).match(failed)?.length ?? 0) > known, patientMs);
    assert.equal((await stack.shown()).checkHost(second), second);

    await eventually("its health says so", async () => (await inspect("certbot")).State.Health.FailingStreak > 0, patientMs);
    const search = searchFor({ ...planted, hmacKey });
    const texts = [
      await log(),
      await stack.docker(`/containers/${certbot}/json`),
      await stack.docker(`/containers/${certbot}/top?ps_args=auxeww`),
      ...stack.printed,
    ];
    assert.deepEqual(
      texts.flatMap((text, index) => search.text(`text ${index}`, text)),
      [],
    );
  });

  test("names that lead nowhere are proven through their DNS, by a key that is in no output", async () => {
    const { stack, address } = deployment;
    nameServer = await startNameServer({ address, zone: "example.test" });
    byDns = await startPebble({ address, certificateSeconds: 86_400, nameServer: nameServer.at });
    const dns = { provider: "rfc2136", credentials: stackSecret("dns"), propagationSeconds: 1 };
    const acme = { directory: byDns.directoryUrl, caFile: byDns.caFile, challenge: "dns-01", dns };
    stack.settings({ proxy: { names: [stack.name, second], ports: stack.ports, tls: { mode: "acme", acme } } });
    await stack.run(["config", "rm", "secret-acme-account"]);
    const others = { gatewayToken, "apiKey-numbers": providerKey, "token-app": appToken };
    await stack.secrets({ ...others, "secret-dns": nameServer.wrongCredentials });
    const refused = await stack.attempt(["up", "--yes", "--skip-preview"], names);
    assert.notEqual(refused.code, 0);
    assert.match(refused.text, /certbot got no certificate for ai\.example\.test[\s\S]*didn't like the signature/);
    assert.equal((await stack.shown()).checkHost(second), second, "the certificate of before goes on");

    await stack.secrets({ ...others, "secret-dns": nameServer.credentials });
    await up("a certificate through DNS");
    const issuer = await byDns.issuerCa();
    await eventually("nginx shows it", async () => (await stack.ask(gatewayToken, issuer)) !== "", patientMs);
    assert.equal((await stack.shown()).checkHost(second), second);
    for (const name of [stack.name, second]) assert.match(nameServer.log(), new RegExp(`_acme-challenge\\.${name}' TXT`));
    const search = searchFor({ ...planted, key: nameServer.key });
    const [certbot = ""] = await stack.containers("certbot");
    const texts = [
      await stack.docker(`/containers/${certbot}/logs?stdout=1&stderr=1`),
      await stack.docker(`/containers/${certbot}/json`),
      ...stack.printed,
    ];
    assert.deepEqual(
      texts.flatMap((text, index) => search.text(`text ${index}`, text)),
      [],
    );
  });

  test("destroy leaves the data and the certificate, and nothing else", async () => {
    const { stack } = deployment;
    await stack.run(["destroy", "--yes"]);
    const volumes: { Volumes: { Name: string }[] } = JSON.parse(await stack.docker("/volumes"));
    const left = volumes.Volumes.map(({ Name }) => Name).sort();
    assert.deepEqual(
      left,
      ["certbot", "data-1", "data-2", "redis", "tls"].map((name) => `openclaw-${name}`),
    );
    assert.deepEqual(JSON.parse(await stack.docker("/containers/json?all=true")), []);
    const networks: { Name: string }[] = JSON.parse(await stack.docker("/networks"));
    assert.deepEqual(networks.map(({ Name }) => Name).sort(), ["bridge", "host", "none"]);
  });
});
