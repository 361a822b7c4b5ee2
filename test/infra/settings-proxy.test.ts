/** The section `proxy` of a stack file: what is wrong with it is told with its path and its fix, and what is left out is safe. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { parseSettings, type RawSetting } from "../../infra/settings.ts";
import { defaultProxySettings } from "../../infra/settings-proxy.ts";
import { assertGolden } from "../support/golden-file.ts";

const pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const privateKey = "-----BEGIN PRIVATE KEY-----\nthis-is-a-secret\n-----END PRIVATE KEY-----\n";
const reference = { source: "file", provider: "stack", id: "tls-key" };
const names = ["ai.example.com"];

const cases: { [name: string]: object } = {
  "unknown setting": { sever: "nginx" },
  "unknown program": { server: "apache" },
  "a name with a scheme": { names: ["https://ai.example.com"] },
  "a name with a port": { names: ["ai.example.com:443"] },
  "a name that would end a directive": { names: ["a;b"] },
  "a name in capitals": { names: ["AI.example.com"] },
  "half an address": { names: ["192.0.2"] },
  "a name twice": { names: ["a.example.com", "a.example.com"] },
  "names as a text": { names: "ai.example.com" },
  "unknown mode of TLS": { tls: { mode: "letsencrypt" } },
  "ACME without a name": { tls: { mode: "acme" } },
  "ACME for an address": { names: ["192.0.2.1"], tls: { mode: "acme" } },
  "ACME for a name of the LAN": { names: ["gateway"], tls: { mode: "acme" } },
  "ACME's mail is none": { names, tls: { mode: "acme", acme: { email: "ops" } } },
  "ACME's server without TLS": { names, tls: { mode: "acme", acme: { directory: "http://acme.example.com/dir" } } },
  "ACME's server with a space": { names, tls: { mode: "acme", acme: { directory: "https://acme.example.com/ dir" } } },
  "dns-01 without a provider": { names, tls: { mode: "acme", acme: { challenge: "dns-01" } } },
  "dns-01 with Caddy": {
    server: "caddy",
    names,
    tls: { mode: "acme", acme: { challenge: "dns-01", dns: { provider: "cloudflare" } } },
  },
  "credentials in clear": {
    names,
    tls: { mode: "acme", acme: { challenge: "dns-01", dns: { provider: "cloudflare", credentials: "this-is-a-secret" } } },
  },
  "credentials that are not there": {
    names,
    tls: {
      mode: "acme",
      acme: {
        challenge: "dns-01",
        dns: { provider: "cloudflare", credentials: { source: "file", provider: "stack", id: "dns" } },
      },
    },
  },
  "an account with Caddy": {
    server: "caddy",
    names,
    tls: { mode: "acme", acme: { externalAccount: { kid: "k", hmacKey: reference } } },
  },
  "files that are missing": { tls: { mode: "files" } },
  "files that are not used": { tls: { files: { certificate: pem, key: reference } } },
  "a key in clear": { tls: { mode: "files", files: { certificate: pem, key: privateKey } } },
  "a certificate that is none": {
    tls: { mode: "files", files: { certificate: "chain.pem", key: { path: "/etc/ssl/k.pem" } } },
  },
  "a path with a space": { tls: { mode: "files", files: { certificate: { path: "/etc/ssl/a b" }, key: { path: "k" } } } },
  "both ports the same": { ports: { http: 8443, https: 8443 } },
  "a port out of range": { ports: { https: 70000 } },
  "no body at all": { maxBodyBytes: 0 },
  "metrics for no network": { allowMetricsFrom: ["10.0.0.0/33", "everybody"] },
  "no connections": { maxConnectionsPerAddress: 0 },
  "a wrong way to spread": { balance: "round-robin" },
  "a time as a text": { timeouts: { idleSeconds: "1h" } },
  "no time": { timeouts: { connectSeconds: 0 } },
};

const toRaw = (proxy: object): { [key: string]: RawSetting } => ({
  demo: { value: '{"enabled":true}', secret: false },
  proxy: { value: JSON.stringify(proxy), secret: false },
});

test("each fault says where, what and how to mend it, and shows no secret", () => {
  let text = "";
  for (const [name, proxy] of Object.entries(cases)) {
    const { settings, faults } = parseSettings(toRaw(proxy), ["local"]);
    const own = faults.filter(({ path }) => path.startsWith("proxy"));
    assert.equal(settings, undefined, `${name}: accepted`);
    assert.ok(own.length > 0, `${name}: no fault`);
    text += `${name}\n${own.map(({ path, message }) => `  ${path}: ${message}\n`).join("")}`;
  }
  assert.ok(!text.includes("this-is-a-secret"), "a secret is shown");
  assertGolden(join(import.meta.dirname, "golden/settings-proxy-faults.txt"), text);
});

test("left out, it is encrypted, bounded and open to nobody's metrics", () => {
  const { server, tls, maxBodyBytes, allowMetricsFrom, http2, timeouts, ports } = defaultProxySettings();
  assert.equal(server, "nginx");
  assert.equal(tls.mode, "self-signed");
  assert.equal(maxBodyBytes, 50 * 1024 * 1024);
  assert.deepEqual(allowMetricsFrom, []);
  assert.equal(http2, true);
  assert.equal(timeouts.idleSeconds, 3600);
  assert.deepEqual(ports, { http: 80, https: 443 });
});

test("a key may be a secret of the stack", () => {
  const { faults } = parseSettings(
    {
      ...toRaw({ names, tls: { mode: "files", files: { certificate: pem, key: reference } } }),
      "secret-tls-key": { value: privateKey, secret: true },
    },
    ["local"],
  );
  assert.deepEqual(faults, []);
});
