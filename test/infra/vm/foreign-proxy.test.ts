/** A proxy that somebody else has set up: what stays, what is replaced, and what a preview says of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFacts } from "../../../infra/components/vm/facts.ts";
import { machineOf } from "../../../infra/components/vm/machine.ts";
import { foreignProxy, proxyFiles } from "../../../infra/components/vm/proxy-files.ts";
import { parseSettings } from "../../../infra/settings.ts";

function settingsFor(proxy: object) {
  const written = {
    target: "vm",
    vm: { host: "192.0.2.1", hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample" },
    proxy,
    demo: { enabled: true },
  };
  const entries = Object.entries(written).map(([key, value]): [string, { value: string; secret: boolean }] => [
    key,
    { value: typeof value === "string" ? value : JSON.stringify(value), secret: false },
  ]);
  const { settings, faults } = parseSettings(Object.fromEntries(entries), ["vm"]);
  assert.deepEqual(faults, []);
  assert.ok(settings?.vm);
  return { ...settings, vm: settings.vm };
}

function look(server: "nginx" | "caddy", told: string): { paths: string[]; said: string | undefined } {
  const settings = settingsFor({ server, names: ["ai.example.com"] });
  const facts = parseFacts(`os=debian 12\narch=amd64\ncpus=2\nmemoryKb=4194304 4194304\n${told}`);
  const machine = machineOf(settings, settings.vm, facts, []);
  const paths = proxyFiles(settings.proxy, machine, facts).map(({ path }) => path);
  return { paths, said: foreignProxy(settings.proxy, facts) };
}

test("the package's nginx.conf is replaced, and goes on being ours; somebody else's stays", () => {
  for (const told of ["", "foreignNginx=16384\nfile=ok 0 /etc/nginx/nginx.conf\n"]) {
    const { paths, said } = look("nginx", told);
    assert.ok(paths.includes("/etc/nginx/nginx.conf"));
    assert.equal(said, undefined);
  }
  const theirs = look("nginx", "foreignNginx=1024\n");
  assert.ok(!theirs.paths.includes("/etc/nginx/nginx.conf"));
  assert.match(theirs.said ?? "", /stays as it is, with 1024 worker_connections/);
  assert.equal(look("nginx", "foreignNginx=8192\n").said, undefined);
});

test("a Caddyfile of somebody else's is replaced, which is said", () => {
  assert.match(look("caddy", "foreignCaddyfile=yes\n").said ?? "", /is replaced until destroy brings it back/);
  assert.equal(look("caddy", "foreignCaddyfile=yes\nfile=changed 0 /etc/caddy/Caddyfile\n").said, undefined);
  assert.equal(look("caddy", "").said, undefined);
});
