/**
 * The target `vm` gets its certificate from a real ACME server: nginx by certbot, which a timer has renew it under load, and Caddy
 * by itself. One server, used for both in turn.
 */
import assert from "node:assert/strict";
import { randomBytes, type X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "node:tls";
import { closedAtReload, describeFailures, type Load, slowestOf, startLoad } from "../support/constant-load.ts";
import { operateKnowing } from "../support/known-names.ts";
import { type LocalClone, makeClone } from "../support/local-clone.ts";
import { type Machine, startMachine, whyNoMachine } from "../support/machine.ts";
import { type NameServer, startNameServer, whyNoNameServer } from "../support/name-server.ts";
import { makeNetwork, type Network } from "../support/network.ts";
import { type NumberUpstream, startNumberUpstream } from "../support/number-upstream.ts";
import type { Outcome } from "../support/outcome.ts";
import { type Pebble, startPebble, whyNoPebble } from "../support/pebble.ts";
import { stackSecret } from "../support/planted-stack.ts";
import { writeSections } from "../support/stack-file.ts";

const skip = whyNoMachine() ?? whyNoPebble() ?? whyNoNameServer();
if (skip) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${skip}`);

const stack = "server";
const name = "ai.example.test";
const second = "second.example.test";
const gatewayToken = randomBytes(24).toString("hex");
const hmacKey = randomBytes(32).toString("base64url");
const authorityFile = "/usr/local/share/acme-ca.pem";

describe("certificates of a server", { skip: skip ?? false, timeout: 1_800_000 }, () => {
  let network: Network;
  let upstream: NumberUpstream;
  let machine: Machine;
  let pebble: Pebble;
  let other: Pebble;
  let clone: LocalClone;
  let load: Load | undefined;
  let nameServer: NameServer | undefined;
  let byDns: Pebble | undefined;

  before(async () => {
    network = makeNetwork();
    const { address4: address } = network;
    upstream = await startNumberUpstream({ address });
    // certbot renews what has less than a month left: at each look.
    pebble = await startPebble({ address, certificateSeconds: 86_400, externalAccount: { kid: "account-1", hmacKey } });
    // Caddy renews in the last third.
    other = await startPebble({ address, certificateSeconds: 75 });
    machine = await startMachine("vm-acme", { network });
    clone = makeClone("vm-acme");
    await operate("stack", "init", stack);
    await secret("gatewayToken", gatewayToken);
    await secret("secret-acme-account", hmacKey);
  });
  after(async () => {
    await load?.stop();
    await machine?.stop();
    await pebble?.stop();
    await other?.stop();
    await byDns?.stop();
    await nameServer?.stop();
    await upstream?.close();
    network?.remove();
    await clone?.remove();
  });

  const stackFile = (): string => join(clone.directory, `stacks/Pulumi.${stack}.yaml`);

  async function settings(proxy: object, from: Pebble): Promise<void> {
    const config = {
      target: "vm",
      vm: {
        host: machine.address4,
        user: machine.user,
        hostKey: machine.hostKey,
        identity: { file: machine.key.file },
        unattendedUpgrades: false,
        fail2ban: { enabled: false },
      },
      models: { default: "numbers/numbers", providers: { numbers: { baseUrl: upstream.baseUrl, models: ["numbers"] } } },
      proxy: { names: [name], ...proxy },
    };
    writeSections(stackFile(), config);
    await machine.run(["sh", "-c", `cat >${authorityFile}`], { input: readFileSync(from.caFile, "utf8") });
  }

  async function secret(key: string, value: string): Promise<void> {
    const { code, text } = await clone.operate(["config", "set", "--secret", key, "-s", stack], { input: value });
    assert.equal(code, 0, text);
  }

  async function operate(...args: string[]): Promise<string> {
    const { code, text } = await clone.operate([...args, "-s", stack]);
    assert.equal(code, 0, `${args.join(" ")}:\n${text}`);
    return text;
  }

  async function tryUp(what: string): Promise<Outcome> {
    const began = performance.now();
    const args = ["up", "--yes", "--skip-preview", "-s", stack];
    const outcome = await operateKnowing(clone, { [name]: machine.address4, [second]: machine.address4 }, args);
    console.log(`${what}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
    return outcome;
  }

  async function up(what: string): Promise<string> {
    const { code, text } = await tryUp(what);
    assert.equal(code, 0, text);
    return text;
  }

  async function shown(): Promise<X509Certificate> {
    const socket = connect({ host: machine.address4, port: 443, servername: name, rejectUnauthorized: false });
    await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
    const certificate = socket.getPeerX509Certificate();
    socket.destroy();
    return certificate ?? assert.fail("no certificate is shown");
  }

  /** Constant load until the certificate is another one. */
  async function renewed(from: Pebble): Promise<void> {
    const caFile = join(clone.base, "issuer.pem");
    writeFileSync(caFile, await from.issuerCa());
    load = await startLoad({
      url: `https://${machine.address4}`,
      caFile,
      serverName: name,
      token: gatewayToken,
      model: "numbers",
      callsPerSecond: 5,
      newConnectionEvery: 5,
      streams: 2,
      streamPieces: 100,
      streamPaceMs: 100,
      slowMs: 25_000,
      timeoutMs: 60_000,
    });
    const { serialNumber } = await shown();
    await until("another certificate is shown", async () => (await shown()).serialNumber !== serialNumber);
    const report = await load.finish();
    const failures = report.failures.filter((failure) => !closedAtReload(failure));
    assert.equal(failures.length, 0, describeFailures({ ...report, failures }));
    assert.ok(report.failures.length <= report.streams, describeFailures(report));
    console.log(
      `under load: ${report.calls} calls, ${report.streams} streams, slowest call ${slowestOf(report, "call").ms} ms`,
    );
  }

  const externalAccount = { kid: "account-1", hmacKey: stackSecret("acme-account") };
  const byCertbot = () => ({
    tls: {
      mode: "acme",
      acme: { directory: pebble.directoryUrl, caFile: authorityFile, externalAccount, checkSeconds: 20 },
    },
  });

  test("nginx: a refusal is told in the authority's words, and the site is up all the same", async () => {
    await settings(byCertbot(), pebble);
    const refused = await tryUp("a refusal");
    assert.notEqual(refused.code, 0);
    assert.match(refused.text, /certbot got no certificate:[\s\S]*Domain: ai\.example\.test[\s\S]*Detail: \S/);
    assert.equal((await shown()).issuer, `CN=${name}`, "signed by itself");
    assert.match(await machine.good(`curl -sSk --resolve ${name}:443:127.0.0.1 https://${name}/healthz`), /"ok":true/);
  });

  test("nginx: the timer gets it by itself once the cause is gone, and the next up has nothing to wait for", async () => {
    await pebble.setAddresses(name, [machine.address4]);
    await until("nginx shows it", async () => /Pebble/.test((await shown()).issuer));
    await up("the first certificate");
    const found = await machine.run(`grep -rlF ${hmacKey} /etc /opt/openclaw /var/lib /var/log /run 2>/dev/null`);
    assert.equal(found.stdout, "/etc/openclaw/secrets/acme-account\n", `${found.code}: ${found.text}`);
    assert.equal(await machine.good("stat -c '%a %U' /etc/openclaw/secrets/acme-account"), "600 root\n");
  });

  test("nginx: the timer renews it under load, and nothing fails", async () => {
    await renewed(pebble);
    assert.equal((await machine.run("systemctl --failed --no-legend")).stdout.trim(), "");
  });

  test("nginx: names that lead nowhere are proven through their DNS, by a key that only root reads", async () => {
    const { address4: address } = network;
    nameServer = await startNameServer({ address, zone: "example.test" });
    byDns = await startPebble({ address, certificateSeconds: 86_400, nameServer: nameServer.at });
    const dns = { provider: "rfc2136", credentials: stackSecret("dns"), propagationSeconds: 1 };
    const acme = { directory: byDns.directoryUrl, caFile: authorityFile, challenge: "dns-01", dns, checkSeconds: 20 };
    // A secret that nothing refers to is a fault.
    await operate("config", "rm", "secret-acme-account");
    await secret("secret-dns", nameServer.wrongCredentials);
    await settings({ names: [name, second], tls: { mode: "acme", acme } }, byDns);
    const { serialNumber } = await shown();
    const refused = await tryUp("a key that the DNS server does not know");
    assert.notEqual(refused.code, 0);
    assert.match(refused.text, /certbot got no certificate:[\s\S]*didn't like the signature/);
    assert.equal((await shown()).serialNumber, serialNumber, "the certificate of before goes on");

    await secret("secret-dns", nameServer.credentials);
    await up("a certificate through DNS");
    await until("nginx shows it", async () => (await shown()).checkHost(second) === second);
    for (const host of [name, second]) assert.match(nameServer.log(), new RegExp(`_acme-challenge\\.${host}' TXT`));
    const { serialNumber: first } = await shown();
    await until("the timer renews it", async () => (await shown()).serialNumber !== first);
    const found = await machine.run(`grep -rlF ${nameServer.key} /etc /opt/openclaw /var/lib /var/log /run 2>/dev/null`);
    assert.equal(found.stdout, "/etc/openclaw/secrets/acme-dns\n", `${found.code}: ${found.text}`);
    assert.equal(await machine.good("stat -c '%a %U' /etc/openclaw/secrets/acme-dns"), "600 root\n");
  });

  test("from an authority to self-signed: the old one goes, and nothing of it stays", async () => {
    await operate("config", "rm", "secret-dns");
    await settings({ tls: { mode: "self-signed" } }, pebble);
    await up("self-signed");
    await until("nginx shows it", async () => (await shown()).issuer === `CN=${name}`);
    await machine.good("nginx -t -q && test -f /etc/ssl/openclaw/key.pem && ! test -L /etc/ssl/openclaw/key.pem");
    const gone = await machine.run("ls -d /var/lib/openclaw-acme /etc/systemd/system/openclaw-certificate.timer");
    assert.equal(gone.stdout, "");
    await operate("destroy", "--yes");
    assert.notEqual((await machine.run("ls -d /etc/ssl/openclaw")).code, 0);
  });

  test("Caddy: a refusal is told; then it gets one by itself, and renews it under load", async () => {
    const acme = { directory: other.directoryUrl, caFile: authorityFile, checkSeconds: 10 };
    await settings({ server: "caddy", tls: { mode: "acme", acme } }, other);
    const refused = await tryUp("a refusal by Caddy");
    assert.notEqual(refused.code, 0);
    assert.match(refused.text, /Caddy got no certificate for ai\.example\.test: .*\S/);
    await other.setAddresses(name, [machine.address4]);
    await up("Caddy's certificate");
    await renewed(other);
  });
});

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 300_000; ; ) {
    if (await look()) return;
    if (Date.now() > end) throw new Error(`not in five minutes: ${what}`);
    await pause(500);
  }
}
