/** certbot on a server: how it is told to prove the names, and where Amazon's library finds its credentials. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFacts } from "../../../infra/components/vm/facts.ts";
import { machineOf } from "../../../infra/components/vm/machine.ts";
import { factsOfDebian12, vmSettingsWith } from "../../support/vm-settings.ts";

const secret = { source: "file", provider: "stack", id: "dns" };
const file = "/etc/openclaw/secrets/acme-dns";

function certbotWith(acme: { challenge?: string; dns?: object }) {
  const names = ["a.example.com", "b.example.com"];
  const settings = vmSettingsWith({ names, tls: { mode: "acme", acme } }, acme.dns ? { "secret-dns": "token = 1" } : {});
  const { proxy } = machineOf(settings, settings.vm, parseFacts(factsOfDebian12), []);
  assert.ok(proxy.certbot);
  const { arguments: options, environment } = proxy.certbot;
  return { options: options.slice(1).join(" "), environment };
}

test("options of certbot by challenge", () => {
  const names = "--domain a.example.com --domain b.example.com";
  assert.deepEqual(certbotWith({}), {
    options: `--webroot --webroot-path /var/lib/openclaw-acme/webroot ${names}`,
    environment: {},
  });
  const dns = { provider: "cloudflare", credentials: secret, propagationSeconds: 120 };
  const plugin = "dns-cloudflare";
  assert.deepEqual(certbotWith({ challenge: "dns-01", dns }), {
    options: `--authenticator ${plugin} --${plugin}-credentials ${file} --${plugin}-propagation-seconds 120 ${names}`,
    environment: {},
  });
  assert.deepEqual(certbotWith({ challenge: "dns-01", dns: { provider: "route53", credentials: secret } }), {
    options: `--authenticator dns-route53 ${names}`,
    environment: { AWS_SHARED_CREDENTIALS_FILE: file },
  });
});
