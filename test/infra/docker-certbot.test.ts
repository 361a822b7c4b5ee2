/** certbot in its container: what it is told, as text beside the settings, which image it is, and that its script is one. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { certbotShape, renderCertbotConfig, renewScript } from "../../infra/render/docker/certbot.ts";
import { dockerSettings } from "../../infra/settings-docker.ts";
import { proxySettings } from "../../infra/settings-proxy.ts";
import { assertGolden } from "../support/golden-file.ts";

const credentials = { source: "file", provider: "stack", id: "dns" };
const cases: { [name: string]: object } = {
  "http-01": { email: "ops@example.com" },
  "dns-01": {
    challenge: "dns-01",
    dns: { provider: "cloudflare", credentials, propagationSeconds: 120 },
    externalAccount: { kid: "account-1", hmacKey: { ...credentials, id: "account" } },
    directory: "https://acme.example.com/directory",
    caFile: "/etc/ssl/acme-ca.pem",
    checkSeconds: 3600,
  },
  route53: { challenge: "dns-01", dns: { provider: "route53", credentials } },
};

function shapeOf(name: string, docker: object = {}) {
  const proxy = proxySettings.parse({ names: ["ai.example.com", "b.example.com"], tls: { mode: "acme", acme: cases[name] } });
  const input = { gatewayPort: 1, gatewayImage: "", gatewayRevision: "", reachesHost: false, drainMs: 0 };
  const shape = certbotShape({ ...input, docker: dockerSettings.parse(docker), proxy, redis: false, vllmKey: false });
  return { proxy, shape };
}

for (const name of Object.keys(cases)) {
  test(`cli.ini and the script for ${name}`, () => {
    const { proxy } = shapeOf(name);
    assertGolden(join(import.meta.dirname, `golden/docker/certbot-${name}.ini`), renderCertbotConfig(proxy, "aG1hYw"));
    execFileSync("sh", ["-n"], { input: renewScript(proxy) });
    assert.match(renewScript(proxy), new RegExp(`\\+ ${proxy.tls.acme.checkSeconds}\\)\\)`));
  });
}

test("the image has the plug-in; one that is named is taken as it is", () => {
  const tag = shapeOf("http-01").shape.image.split(":")[1];
  assert.equal(shapeOf("http-01").shape.image, `certbot/certbot:${tag}`);
  assert.equal(shapeOf("dns-01").shape.image, `certbot/dns-cloudflare:${tag}`);
  const own = { mirror: "mirror.example.com/hub", images: { certbot: { name: "certbot/certbot:v9" } } };
  assert.equal(shapeOf("dns-01", own).shape.image, "mirror.example.com/hub/certbot/dns-cloudflare:v9");
  assert.equal(shapeOf("dns-01", { images: { certbot: { name: "example/certbot:1" } } }).shape.image, "example/certbot:1");
});

test("an authority of one's own and Amazon's credentials reach the programs that read them", () => {
  const { environment, volumes } = shapeOf("dns-01").shape;
  const path = environment?.REQUESTS_CA_BUNDLE;
  assert.ok(
    path && volumes.some((volume) => volume.from === "/etc/ssl/acme-ca.pem" && volume.path === path && volume.readOnly),
  );
  assert.match(shapeOf("route53").shape.environment?.AWS_SHARED_CREDENTIALS_FILE ?? "", /dns-credentials$/);
  assert.ok(!volumes.some(({ from }) => from === "acme"), "nobody asks over HTTP");
});
