/** A proxy that somebody else has set up: what stays, what is replaced, and what a preview says of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFacts } from "../../../infra/components/vm/facts.ts";
import { machineOf } from "../../../infra/components/vm/machine.ts";
import { foreignProxy, proxyFiles } from "../../../infra/components/vm/proxy-files.ts";
import { factsOfDebian12, vmSettingsWith } from "../../support/vm-settings.ts";

function look(server: "nginx" | "caddy", told: string): { paths: string[]; said: string | undefined } {
  const settings = vmSettingsWith({ server, names: ["ai.example.com"] });
  const facts = parseFacts(`${factsOfDebian12}${told}`);
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
