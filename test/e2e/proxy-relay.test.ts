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
import { renderNginxWatch } from "../../infra/render/proxy/watch.ts";
import { type ProxySettings, proxySettings } from "../../infra/settings-proxy.ts";
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

for (const balance of ["least-connections", "address", "cookie"] as const) {
  const what = `balance ${balance}: a request that began before a reload is answered by the gateway of now`;
  test(what, { skip, timeout: 120_000 }, () => replaced(balance));
}

async function replaced(balance: ProxySettings["balance"]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "openclaw-relay-"));
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, "conf.d"));
  const [http, relayPort] = [await freePort(), await freePort()];
  const write = (port: number): void => {
    const site = siteOf(proxySettings.parse({ tls: { mode: "none" }, ipv6: false, balance }), {
      upstreams: ["one", "two"].map((id) => ({ id, host: "127.0.0.1", port, state: "up" })),
      listen: { http },
      relayPort,
    });
    const host = { root: folder, runtimeFolder: folder, version: nginxVersion(), accessLogPath: join(folder, "access.log") };
    for (const [path, content] of Object.entries(renderNginx(site, host))) writeFileSync(path, content);
  };
  const [before, now] = [await startProxiedUpstream("before"), await startProxiedUpstream("now")];
  write(before.port);
  const script = join(folder, "watch.sh");
  const configuration = join(folder, "nginx.conf");
  writeFileSync(script, renderNginxWatch({ configuration, watched: [join(folder, "conf.d")], runtimeFolder: folder }));
  const nginx = spawn("sh", [script], { stdio: ["ignore", "ignore", "pipe"] });
  const master = (): number => Number(readFileSync(join(folder, "nginx.pid"), "utf8"));
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

    const old = workersOf(master());
    write(now.port);
    await until("nginx does not read its files again", () => {
      const workers = workersOf(master());
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
}
