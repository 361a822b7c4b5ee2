/** The ACME server that tests use is a real one: a real client gets certificates by HTTP and by DNS, and only for names it can prove. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { installPrograms } from "../support/debian-packages.ts";
import { freePort } from "../support/free-port.ts";
import { makeNetwork, type Network } from "../support/network.ts";
import { type Outcome, runCommand } from "../support/outcome.ts";
import { type Pebble, startPebble, whyNoPebble } from "../support/pebble.ts";

const refusal =
  process.getuid?.() === 0
    ? (installPrograms({ certbot: "certbot", ip: "iproute2" }) ?? whyNoPebble())
    : "a network of its own needs root";
if (refusal) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${refusal}`);

describe("an ACME server for tests", { skip: refusal ?? false }, () => {
  const folder = mkdtempSync(join(tmpdir(), "acme-"));
  let network: Network;
  let pebble: Pebble;
  let httpPort = 0;

  before(async () => {
    network = makeNetwork();
    httpPort = await freePort();
    pebble = await startPebble({ address: network.address4, httpPort, certificateSeconds: 3600 });
  });
  after(async () => {
    await pebble?.stop();
    network?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  function certbot(name: string, ...args: string[]): Promise<Outcome> {
    const folders = ["config", "work", "logs"].flatMap((kind) => [`--${kind}-dir`, join(folder, kind)]);
    const how = ["--non-interactive", "--agree-tos", "--register-unsafely-without-email", "--server", pebble.directoryUrl];
    return runCommand(["certbot", "certonly", ...folders, ...how, "-d", name, ...args], {
      env: { ...process.env, REQUESTS_CA_BUNDLE: pebble.caFile },
    });
  }
  const certificateOf = (name: string): X509Certificate =>
    new X509Certificate(readFileSync(join(folder, "config/live", name, "cert.pem")));

  for (const family of ["address4", "address6"] as const) {
    test(`a name that points to ${family} is proven by HTTP`, { timeout: 120_000 }, async () => {
      const name = `${family}.example.test`;
      await pebble.setAddresses(name, [network[family]]);
      const http = ["--standalone", "--http-01-port", String(httpPort)];
      const { code, text } = await certbot(
        name,
        ...http,
        "--http-01-address",
        family === "address4" ? network.address4 : network.address6,
      );
      assert.equal(code, 0, `${text}\n${pebble.log()}`);
      const certificate = certificateOf(name);
      assert.equal(certificate.checkHost(name), name);
      const hours = (Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)) / 3_600_000;
      assert.ok(Math.abs(hours - 1) < 0.1, `good for ${hours} hours`);
      const chain = readFileSync(join(folder, "config/live", name, "chain.pem"), "utf8");
      assert.ok(new X509Certificate(chain).verify(new X509Certificate(await pebble.issuerCa()).publicKey));
    });
  }

  test("another answer than the right one gets no certificate", { timeout: 120_000 }, async () => {
    const server = createServer((_, response) => response.end("no"));
    await new Promise<void>((resolve) => server.listen(httpPort, network.address4, resolve));
    await pebble.setAddresses("wrong.example.test", [network.address4]);
    const { code, text } = await certbot("wrong.example.test", "--webroot", "--webroot-path", folder);
    server.close();
    assert.notEqual(code, 0);
    assert.match(text, /did not match|Invalid response|invalid/i);
  });

  test("a name without an address gets none", { timeout: 120_000 }, async () => {
    const { code, text } = await certbot("nobody.example.test", "--webroot", "--webroot-path", folder);
    assert.notEqual(code, 0);
    assert.match(text, /nobody\.example\.test/);
  });

  test("a name is proven by DNS, with a hook that asks for the record", { timeout: 120_000 }, async () => {
    const name = "dns.example.test";
    const tell = (what: string, value: string): string =>
      `curl -sSf --json '{"host":"_acme-challenge.'$CERTBOT_DOMAIN'."${value}}' ${pebble.dnsApiUrl}/${what}`;
    const hooks = [
      "--manual-auth-hook",
      tell("set-txt", `,"value":"'$CERTBOT_VALIDATION'"`),
      "--manual-cleanup-hook",
      tell("clear-txt", ""),
    ];
    const { code, text } = await certbot(name, "--manual", "--preferred-challenges", "dns", ...hooks);
    assert.equal(code, 0, `${text}\n${pebble.log()}`);
    assert.equal(certificateOf(name).checkHost(name), name);
  });
});
