/** A gateway that is replaced by one at another address: what an old process of nginx still gets to answer reaches the new one. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { renderNginx } from "../../infra/render/proxy/nginx.ts";
import { siteOf } from "../../infra/render/proxy/site.ts";
import { proxySettings } from "../../infra/settings-proxy.ts";
import { installPrograms } from "../support/debian-packages.ts";
import { freePort } from "../support/free-port.ts";
import { startProxiedUpstream } from "../support/proxied-upstream.ts";
import { nginxVersion } from "../support/proxy-program.ts";

const skip = installPrograms({ nginx: "nginx" }) ?? false;

/** Those that take new connections. */
function workersOf(master: number): number[] {
  const children = readFileSync(`/proc/${master}/task/${master}/children`, "utf8").trim().split(" ").map(Number);
  return children.filter((pid) => !readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("shutting down"));
}

test("a request that began before a reload is answered by the gateway of now", { skip, timeout: 120_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "openclaw-relay-"));
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, "conf.d"));
  const [http, relayPort] = [await freePort(), await freePort()];
  const write = (port: number): void => {
    const site = siteOf(proxySettings.parse({ tls: { mode: "none" }, ipv6: false }), {
      upstreams: [{ id: "one", host: "127.0.0.1", port, state: "up" }],
      listen: { http },
      relayPort,
    });
    const host = { root: folder, runtimeFolder: folder, version: nginxVersion(), accessLogPath: join(folder, "access.log") };
    for (const [path, content] of Object.entries(renderNginx(site, host))) writeFileSync(path, content);
  };
  const [before, now] = [await startProxiedUpstream("before"), await startProxiedUpstream("now")];
  write(before.port);
  const nginx = spawn("nginx", ["-c", join(folder, "nginx.conf"), "-g", "daemon off;"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  nginx.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const until = async (what: string, met: () => boolean | Promise<boolean>): Promise<void> => {
    for (const end = Date.now() + 30_000; !(await met()); await pause(30))
      if (Date.now() > end) throw new Error(`${what}\n${said}`);
  };
  try {
    const answers = (): Promise<boolean> =>
      fetch(`http://127.0.0.1:${http}/`)
        .then(({ ok }) => ok)
        .catch(() => false);
    await until("nginx does not answer", answers);
    const socket = connect(http, "127.0.0.1");
    socket.write("GET /echo HTTP/1.1\r\nHost: ai.example.com\r\n");
    // A whole other request later, its first half has been read.
    await until("nginx does not answer any more", answers);

    const old = workersOf(nginx.pid ?? 0);
    write(now.port);
    nginx.kill("SIGHUP");
    await until("nginx does not read its files again", () => {
      const workers = workersOf(nginx.pid ?? 0);
      return workers.length > 0 && !workers.some((pid) => old.includes(pid));
    });
    await before.close();
    let answer = "";
    socket.setEncoding("utf8").on("data", (text: string) => {
      answer += text;
    });
    socket.write("X-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n");
    await once(socket, "close");
    assert.match(answer, /^HTTP\/1\.1 200 /, said);
    assert.match(answer, /"now"/);
    // Its client's address is told as in any other request.
    assert.match(answer, /127\.0\.0\.1/);
    assert.doesNotMatch(answer, /203\.0\.113\.9/);

    await now.close();
    const refused = await fetch(`http://127.0.0.1:${http}/`);
    assert.equal(refused.status, 502);
    assert.match(await refused.text(), /gateway_unreachable/);
  } finally {
    if (nginx.exitCode === null) {
      nginx.kill("SIGTERM");
      await once(nginx, "exit");
    }
    await before.close().catch(() => {});
    await now.close().catch(() => {});
    rmSync(folder, { recursive: true, force: true });
  }
});
