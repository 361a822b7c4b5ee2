/** User data for a server that is not there yet: the files of the gateway, the keys of operators, and no secret. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { parse } from "yaml";
import { userDataOf } from "../../../infra/components/vm/user-data.ts";
import { parseSettings } from "../../../infra/settings.ts";
import { vmSettings } from "../../../infra/settings-vm.ts";

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBvQnH1tmPjc0dAQjwKMzXtC6fZ4sLr3EmbOoQeTAxYz";
const secret = "a-planted-token-0123456789";

function parsed(vm: object) {
  return parseSettings(
    {
      target: { value: "vm", secret: false },
      vm: { value: JSON.stringify(vm), secret: false },
      demo: { value: '{"enabled":true}', secret: false },
      gatewayToken: { value: secret, secret: true },
    },
    ["vm"],
  );
}

test("user data", () => {
  const { settings, faults } = parsed({ mode: "cloud-init", authorizedKeys: [key] });
  assert.deepEqual(faults, []);
  assert.ok(settings);
  const text = userDataOf(settings, settings.vm ?? vmSettings.parse({}), ["gateway-token"]);
  assert.ok(text.startsWith("#cloud-config\n"));
  const data: { ssh_authorized_keys: string[]; write_files: { content: string }[] } = parse(text);
  assert.deepEqual(data.ssh_authorized_keys, [key]);
  const files = gunzipSync(Buffer.from(data.write_files[0]?.content ?? "", "base64")).toString("utf8");
  assert.match(files, /openclaw-gateway\.service/);
  assert.match(files, /LoadCredential=gateway-token:/);
  assert.match(files, /^apt install .* fail2ban .* nginx .* openssl$/m);
  assert.match(files, /sites-enabled\/default/);
  for (const place of [text, files]) assert.ok(!place.includes(secret));
});

test("a server that nobody could log in to, and one without its key, are refused", () => {
  assert.match(parsed({ mode: "cloud-init" }).faults[0]?.message ?? "", /nobody could log in/);
  assert.match(parsed({}).faults[0]?.message ?? "", /name the server/);
  const [fault] = parsed({ host: "192.0.2.1" }).faults;
  assert.equal(fault?.path, "vm.hostKey");
  assert.match(fault.message, /anybody could answer in its place/);
});
