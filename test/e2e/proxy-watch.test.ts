/** The script that runs nginx in a container: a certificate to begin with, changed files taken over, broken ones refused. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { renderNginx } from "../../infra/render/proxy/nginx.ts";
import { type Site, siteOf } from "../../infra/render/proxy/site.ts";
import { renderNginxWatch } from "../../infra/render/proxy/watch.ts";
import { proxySettings } from "../../infra/settings-proxy.ts";
import { makeAuthority } from "../support/certificates.ts";
import { installPrograms, pathOf } from "../support/debian-packages.ts";
import { freePort } from "../support/free-port.ts";
import { startProxiedUpstream } from "../support/proxied-upstream.ts";
import { ask, begin } from "../support/proxy-client.ts";
import { nginxVersion } from "../support/proxy-program.ts";

const skip = installPrograms({ nginx: "nginx", openssl: "openssl", busybox: "busybox" }) ?? false;
const name = "ai.example.com";

async function eventually(what: string, met: () => boolean | Promise<boolean>): Promise<void> {
  for (const until = Date.now() + 60_000; !(await met()); ) {
    if (Date.now() > until) throw new Error(`not within 60 s: ${what}`);
    await pause(50);
  }
}

for (const shell of [["sh"], ["busybox", "sh"]]) {
  test(`nginx under ${shell.join(" ")}`, { skip, timeout: 240_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "openclaw-watch-"));
    chmodSync(folder, 0o755);
    const tls = join(folder, "tls");
    const root = join(folder, "etc");
    for (const path of [tls, join(root, "conf.d")]) mkdirSync(path, { recursive: true });
    const files = { certificate: join(tls, "fullchain.pem"), key: join(tls, "privkey.pem") };
    const upstream = await startProxiedUpstream("one");
    const site = siteOf(proxySettings.parse({ names: [name], ipv6: false }), {
      upstreams: [{ id: "one", host: "localhost", port: upstream.port, state: "up" }],
      tlsFiles: files,
      listen: { http: await freePort(), https: await freePort() },
    });
    const write = (changed: Site, more = ""): void => {
      const host = { root, runtimeFolder: folder, version: nginxVersion(), accessLogPath: join(folder, "access.log") };
      for (const [path, content] of Object.entries(renderNginx(changed, host))) writeFileSync(path, content + more);
    };
    write(site);
    const script = join(folder, "watch.sh");
    const configuration = join(root, "nginx.conf");
    writeFileSync(
      script,
      renderNginxWatch({ configuration, watched: [root], tls: { ...files, names: [name] }, runtimeFolder: folder }),
    );
    let said = "";
    // Names that are found only later, and an nginx that finds no fault for once, as when its name server is away in between.
    const hosts = join(folder, "hosts");
    writeFileSync(hosts, "127.0.0.1 localhost\n");
    const blind = join(folder, "blind");
    mkdirSync(join(folder, "bin"));
    const own = pathOf("nginx");
    const wrapper = `#!/bin/sh\n[ "$1" = -t ] && [ -e ${blind} ] && exit 0\nexec ${own} "$@"\n`;
    writeFileSync(join(folder, "bin/nginx"), wrapper, { mode: 0o755 });
    const within = ["--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts];
    const child = spawn("unshare", [...within, ...shell, script], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, PATH: `${join(folder, "bin")}:${process.env.PATH}` },
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    const authority = makeAuthority(folder);
    try {
      await eventually("a certificate to begin with", () => said.includes("signed by itself"));
      const first = readFileSync(files.certificate, "utf8");
      assert.equal(new X509Certificate(first).subjectAltName, `DNS:${name}`);
      const at = (ca: string) => ({ port: site.listen.https ?? 0, name, ca });
      await eventually("nginx answers", () =>
        ask(at(first), "/").then(
          () => true,
          () => false,
        ),
      );

      // A stream that runs through all that follows.
      const { parts } = await begin(at(first), "/stream/long");
      const iterator = parts[Symbol.asyncIterator]();
      assert.equal((await iterator.next()).value, "data: first\n\n");

      const real = authority.issue("real", [name]);
      writeFileSync(files.key, real.key);
      writeFileSync(files.certificate, real.cert);
      await eventually("the real certificate", () =>
        ask(at(authority.ca), "/").then(
          () => true,
          () => false,
        ),
      );

      write(site, "nonsense;\n");
      await eventually("the complaint", () => said.includes("the change is broken"));
      assert.match(said, /unknown directive "nonsense"/);
      assert.equal((await ask(at(authority.ca), "/")).status, 200);

      write({ ...site, maxBodyBytes: 1024 });
      await eventually("the mended change", async () => (await ask(at(authority.ca), "/", { bytes: 2000 })).status === 413);

      write({ ...site, maxBodyBytes: 4096 });
      appendFileSync(join(root, "conf.d/openclaw.conf"), "upstream other { server later.test:1; }\n");
      await eventually("a name that is not found", () => /the change is broken.*host not found/s.test(said));
      appendFileSync(hosts, "127.0.0.1 later.test\n");
      await eventually("it is found", async () => (await ask(at(authority.ca), "/", { bytes: 2000 })).status !== 413);

      writeFileSync(blind, "");
      write({ ...site, maxBodyBytes: 1024 }, "nonsense;\n");
      await eventually("what nginx did not take", () => said.includes("nginx has not taken it over: it is told again"));
      assert.equal((await ask(at(authority.ca), "/")).status, 200);
      rmSync(blind);
      write({ ...site, maxBodyBytes: 1024 });
      await eventually("taken", async () => (await ask(at(authority.ca), "/", { bytes: 2000 })).status === 413);

      upstream.finish("long");
      assert.equal((await iterator.next()).value, "data: last\n\n");
      child.kill("SIGTERM");
      const [code] = child.exitCode === null ? await once(child, "exit") : [child.exitCode];
      assert.equal(code, 0, said);
    } catch (error) {
      console.error(said);
      throw error;
    } finally {
      if (child.exitCode === null) {
        child.kill("SIGTERM");
        await once(child, "exit");
      }
      await upstream.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
