/** The rendered cases, each checked by the program that is to read it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, before, test } from "node:test";
import type { RenderedFiles } from "../../infra/render/proxy/site.ts";
import { makeAuthority } from "../support/certificates.ts";
import { installPrograms } from "../support/debian-packages.ts";
import { type ProxyCase, readProxyCase, renderProxyCase } from "../support/proxy-cases.ts";
import { nginxVersion } from "../support/proxy-program.ts";

const skip = installPrograms({ nginx: "nginx", caddy: "caddy", haproxy: "haproxy", openssl: "openssl" }) ?? false;
const golden = join(import.meta.dirname, "../infra/render/proxy/golden");

/** Debian's own file, as far as it includes others. */
const debianNginx = (folder: string): string => `include ${folder}/modules-enabled/*.conf;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 768; }
http {
  server_tokens off;
  ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
  ssl_prefer_server_ciphers on;
  gzip on;
  include ${folder}/conf.d/*.conf;
}
`;

let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "openclaw-proxy-cases-"));
  const { certPath, key } = makeAuthority(folder).issue("chain", ["ai.example.com"]);
  writeFileSync(`${certPath}.key`, key);
});

after(() => rmSync(folder, { recursive: true, force: true }));

/** The case on this machine: with files that are there, names that are known, and ports that need no rights. */
function here({ proxy, place, nginx, caddy, haproxy }: ProxyCase): ProxyCase {
  const installed = nginxVersion();
  const newer = nginx?.version && nginx.version.localeCompare(installed, undefined, { numeric: true }) > 0;
  const logs = { accessLogPath: join(folder, "access.log"), errorLogPath: join(folder, "error.log") };
  const certificate = join(folder, "chain.pem");
  return {
    proxy,
    place: {
      ...place,
      listen: { http: 18_080, https: 18_443 },
      upstreams: place.upstreams.map((upstream) => ({
        ...upstream,
        host: upstream.host.includes(":") ? upstream.host : "127.0.0.1",
      })),
      ...(place.tlsFiles ? { tlsFiles: { certificate, key: `${certificate}.key` } } : {}),
    },
    ...(nginx
      ? { nginx: { ...nginx, ...logs, root: folder, runtimeFolder: folder, ...(newer ? { version: installed } : {}) } }
      : {}),
    ...(caddy ? { caddy: { ...caddy, path: join(folder, "Caddyfile"), adminSocket: join(folder, "admin.sock") } } : {}),
    ...(haproxy ? { haproxy: { ...haproxy, path: join(folder, "haproxy.cfg"), adminSocket: join(folder, "admin.sock") } } : {}),
  };
}

function write(files: RenderedFiles): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}

const checkers: { [program: string]: () => string[] } = {
  nginx: () => ["nginx", "-t", "-c", join(folder, "nginx.conf")],
  caddy: () => ["caddy", "validate", "--adapter", "caddyfile", "--config", join(folder, "Caddyfile")],
  haproxy: () => ["haproxy", "-c", "-f", join(folder, "haproxy.cfg")],
};

for (const file of globSync("*.json", { cwd: golden }).sort()) {
  const name = basename(file, ".json");
  test(`${name}: accepted, and without a warning`, { skip, timeout: 120_000 }, () => {
    const input = readProxyCase(join(golden, file));
    for (const [program, files] of Object.entries(renderProxyCase(here(input)))) {
      if (program === "nginx" && input.nginx?.layout === "site") write({ [join(folder, "nginx.conf")]: debianNginx(folder) });
      write(files);
      const [command = "", ...args] = checkers[program]?.() ?? [];
      const { status, stdout, stderr } = spawnSync(command, args, {
        encoding: "utf8",
        timeout: 60_000,
        env: { PATH: process.env.PATH, HOME: folder },
      });
      assert.equal(status, 0, `${program}: ${stdout}${stderr}`);
      // Caddy warns of what is wanted: no stapling, no certificates of its own.
      if (program !== "caddy" && !input.nginx?.version?.startsWith("1.18")) assert.doesNotMatch(stdout + stderr, /warn/i);
      if (program === "caddy") assert.doesNotMatch(stderr, /not formatted/);
    }
  });
}
