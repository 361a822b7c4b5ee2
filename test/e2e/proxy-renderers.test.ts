/** What is rendered for nginx, Caddy and HAProxy, in the real programs, in front of a real server. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { type Site, type SitePlace, siteOf } from "../../infra/render/proxy/site.ts";
import { proxySettings } from "../../infra/settings-proxy.ts";
import { type Authority, type Certificate, makeAuthority } from "../support/certificates.ts";
import { installPrograms } from "../support/debian-packages.ts";
import { freePort } from "../support/free-port.ts";
import { type ProxiedUpstream, startProxiedUpstream } from "../support/proxied-upstream.ts";
import { ask, askHttp2, begin, openTunnel, type ProxyAddress } from "../support/proxy-client.ts";
import { type ProxyName, type ProxyProgram, startProxy } from "../support/proxy-program.ts";

const skip = installPrograms({ nginx: "nginx", caddy: "caddy", haproxy: "haproxy", openssl: "openssl" }) ?? false;
const name = "ai.example.com";
const bodyLimit = 52_428_800;
const planted = "planted-secret-in-a-query";

let folder: string;
let authority: Authority;
let certificate: Certificate;
let upstream: ProxiedUpstream;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "openclaw-proxies-"));
  authority = makeAuthority(folder);
  certificate = authority.issue("chain", [name, "127.0.0.1"]);
  // HAProxy looks for the key beside the certificate.
  writeFileSync(`${certificate.certPath}.key`, certificate.key);
  upstream = await startProxiedUpstream("one");
});

after(async () => {
  await upstream?.close();
  rmSync(folder, { recursive: true, force: true });
});

const upstreamOf = ({ name: id, port }: ProxiedUpstream, state: "up" | "draining" = "up") => ({
  id,
  host: "127.0.0.1",
  port,
  state,
});

async function makeSite(settings: object = {}, place: Partial<SitePlace> = {}): Promise<Site> {
  const tls = {
    mode: "files",
    files: { certificate: { path: certificate.certPath }, key: { path: `${certificate.certPath}.key` } },
  };
  const proxy = proxySettings.parse({ names: [name], tls, ...settings });
  return siteOf(proxy, {
    upstreams: [upstreamOf(upstream)],
    tlsFiles: { certificate: certificate.certPath, key: `${certificate.certPath}.key` },
    listen: { http: await freePort(), https: await freePort() },
    ...place,
  });
}

const secureAt = ({ listen }: Site): ProxyAddress => ({ port: listen.https ?? 0, name, ca: authority.ca });
const plainAt = ({ listen }: Site): ProxyAddress => ({ port: listen.http, name });

interface Running {
  readonly site: Site;
  readonly at: ProxyAddress;
  readonly program: ProxyProgram;
}

async function withProxy(proxy: ProxyName, site: Site, use: (running: Running) => Promise<void>): Promise<void> {
  const program = await startProxy(proxy, site);
  try {
    await use({ site, program, at: secureAt(site) });
  } catch (error) {
    console.error(program.output());
    throw error;
  } finally {
    await program.stop();
  }
}

function assertError(reply: { status: number; headers: object; text: string }, status: number): void {
  assert.equal(reply.status, status, reply.text);
  const { error } = JSON.parse(reply.text);
  assert.deepEqual(Object.keys(error).sort(), ["code", "message", "param", "type"]);
  assert.match(String(Reflect.get(reply.headers, "content-type")), /^application\/json/);
}

async function eventually(what: string, met: () => Promise<boolean>): Promise<void> {
  for (const until = Date.now() + 30_000; !(await met()); ) {
    if (Date.now() > until) throw new Error(`not within 30 s: ${what}`);
    await pause(50);
  }
}

for (const proxy of ["nginx", "caddy", "haproxy"] as const) {
  test(`${proxy} in front of one gateway`, { skip, timeout: 240_000 }, async (t) => {
    const site = await makeSite({ hsts: { includeSubdomains: true } }, { dropHeaders: ["X-Forwarded-User"] });
    await withProxy(proxy, site, async ({ at, program }) => {
      await t.test("answers by TLS, with HTTP/1.1 and HTTP/2", async () => {
        const reply = await ask(at, "/v1/models?x=1");
        assert.equal(reply.status, 200);
        assert.equal(JSON.parse(reply.text).url, "/v1/models?x=1");
        assert.equal((await askHttp2(at, "/v1/models")).status, 200);
      });

      await t.test("says each security header once", async () => {
        const { headers } = await ask(at, "/");
        assert.equal(headers["strict-transport-security"], "max-age=63072000; includeSubDomains");
        assert.equal(headers["x-frame-options"], "DENY");
        assert.equal(headers["x-content-type-options"], "nosniff");
        assert.equal(headers["referrer-policy"], "no-referrer");
        assert.doesNotMatch(String(headers.server), /\d|caddy/i);
      });

      await t.test("refuses old TLS", async () => {
        const error = await handshake(at, { maxVersion: "TLSv1.1", minVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" });
        assert.match(String(error), /alert|version|protocol|disconnected|reset/i);
      });

      await t.test("sends plain HTTP to HTTPS, method and query kept", async () => {
        const reply = await ask(plainAt(site), "/v1/models?a=b", { method: "POST" });
        assert.equal(reply.status, 308);
        assert.equal(reply.headers.location, `https://${name}:${site.listen.https}/v1/models?a=b`);
      });

      await t.test("closes on names that are not ours", async () => {
        const other = { ...at, name: "other.example.com" };
        await assert.rejects(ask(other, "/"));
        await assert.rejects(ask(at, "/", { host: "other.example.com" }));
        await assert.rejects(ask(plainAt(site), "/", { host: "other.example.com" }));
      });

      await t.test("tells the gateway who asks, whatever the client claims", async () => {
        const claims = {
          "X-Forwarded-For": "203.0.113.9",
          "X-Real-IP": "203.0.113.9",
          "X-Forwarded-Proto": "gopher",
          "X-Forwarded-Host": "evil.example.com",
          Forwarded: "for=203.0.113.9",
          "X-Forwarded-User": "root",
        };
        const { headers } = JSON.parse((await ask(at, "/who", { headers: claims })).text);
        assert.equal(headers["x-forwarded-for"], "127.0.0.1");
        assert.equal(headers["x-real-ip"], "127.0.0.1");
        assert.equal(headers["x-forwarded-proto"], "https");
        assert.equal(headers["x-forwarded-host"], name);
        assert.equal(headers["x-forwarded-port"], String(site.listen.https));
        assert.equal(headers.host, name);
        assert.equal(headers.forwarded, undefined);
        assert.equal(headers["x-forwarded-user"], undefined);
      });

      await t.test("keeps metrics to itself, however they are spelt", async () => {
        for (const path of [
          "/metrics",
          "/metrics?x",
          "/%6detrics",
          "/METRICS",
          "/api/diagnostics/prometheus",
          "/readyz/models",
        ])
          assertError(await ask(at, path), 403);
        assert.equal((await ask(at, "/readyz")).status, 200);
      });

      await t.test("passes events on as they come", async () => {
        const { status, parts } = await begin(at, `/stream/${proxy}`, { method: "POST", bytes: 10 });
        assert.equal(status, 200);
        const iterator = parts[Symbol.asyncIterator]();
        assert.equal((await iterator.next()).value, "data: first\n\n");
        upstream.finish(proxy);
        assert.equal((await iterator.next()).value, "data: last\n\n");
        assert.equal((await iterator.next()).done, true);
      });

      await t.test("tells the gateway that a client left", async () => {
        const { parts } = await begin(at, `/stream/left-${proxy}`);
        for await (const part of parts) {
          assert.equal(part, "data: first\n\n");
          break;
        }
        await eventually("the gateway knows", async () => upstream.left.has(`left-${proxy}`));
      });

      await t.test("lets WebSockets through, and no other upgrade", async () => {
        const tunnel = await openTunnel(at, "/anywhere");
        assert.equal(tunnel.status, 101);
        assert.equal(await tunnel.echo("there and back"), "there and back");
        tunnel.close();
        const other = await openTunnel(at, "/anywhere", "h2c");
        assert.notEqual(other.status, 101);
        other.close();
      });

      await t.test("takes 50 MB, and not a byte more", async () => {
        const most = await ask(at, "/most", { bytes: bodyLimit });
        assert.equal(JSON.parse(most.text).bytes, bodyLimit);
        assertError(await ask(at, "/more", { announced: bodyLimit + 1 }), 413);
        assert.equal(upstream.seen.get("/more"), undefined);
      });

      await t.test("leaves the gateway's own errors as they are", async () => {
        const reply = await ask(at, "/fails");
        assert.equal(reply.status, 503);
        assert.equal(JSON.parse(reply.text).error.message, "the gateway's own error");
      });

      await t.test("never sends a POST twice, and says that it failed", async () => {
        assertError(await ask(at, `/die?token=${planted}`, { bytes: 1000 }), 502);
        assert.equal(upstream.seen.get("/die"), 1);
        upstream.seen.delete("/die");
      });

      await t.test("logs requests without what stands behind the ?", async () => {
        await eventually("a line of the access log", async () => program.output().includes('/die"'));
        assert.ok(!program.output().includes(planted), "a secret is in the log");
      });
    });
  });

  test(`${proxy} in front of several gateways`, { skip, timeout: 240_000 }, async (t) => {
    const [two, gone] = [await startProxiedUpstream("two"), await freePort()];
    try {
      await t.test("passes a gateway that refuses the connection over, POSTs too", async () => {
        const dead = { id: "dead", host: "127.0.0.1", port: gone, state: "up" } as const;
        await withProxy(proxy, await makeSite({}, { upstreams: [dead, upstreamOf(upstream)] }), async ({ at }) => {
          for (let turn = 0; turn < 20; turn += 1)
            assert.equal((await ask(at, `/count-${proxy}`, { bytes: 5000 })).status, 200);
          assert.equal(upstream.seen.get(`/count-${proxy}`), 20);
        });
      });

      await t.test("a POST that broke is not tried on the other", async () => {
        await withProxy(proxy, await makeSite({}, { upstreams: [upstreamOf(upstream), upstreamOf(two)] }), async ({ at }) => {
          assertError(await ask(at, "/die", { bytes: 1000 }), 502);
          assert.equal((upstream.seen.get("/die") ?? 0) + (two.seen.get("/die") ?? 0), 1);
        });
        for (const { seen } of [upstream, two]) seen.delete("/die");
      });

      await t.test("a client keeps its gateway by its cookie", async () => {
        const site = await makeSite({ balance: "cookie" }, { upstreams: [upstreamOf(upstream), upstreamOf(two)] });
        await withProxy(proxy, site, async ({ at }) => {
          const first = await ask(at, "/");
          const cookie = String(first.headers["set-cookie"]).split(";")[0] ?? "";
          assert.match(cookie, /^GATEWAY_ID=./);
          assert.match(String(first.headers["set-cookie"]), /httponly/i);
          for (let turn = 0; turn < 12; turn += 1) {
            const again = await ask(at, "/", { headers: { cookie } });
            assert.equal(again.headers["x-upstream"], first.headers["x-upstream"]);
          }
        });
      });

      await t.test("a gateway drains: a reload moves what is new and cuts nothing", async () => {
        const site = await makeSite({}, { upstreams: [upstreamOf(upstream)] });
        await withProxy(proxy, site, async ({ at, program }) => {
          const { parts } = await begin(at, `/stream/drain-${proxy}`);
          const iterator = parts[Symbol.asyncIterator]();
          assert.equal((await iterator.next()).value, "data: first\n\n");
          const tunnel = await openTunnel(at, "/ws");
          await program.reload({ ...site, upstreams: [upstreamOf(upstream, "draining"), upstreamOf(two)] });
          // Old processes take connections for a moment yet, beside the new ones.
          await eventually("only the other gateway answers", async () => {
            for (let turn = 0; turn < 20; turn += 1) if ((await ask(at, "/")).headers["x-upstream"] !== "two") return false;
            return true;
          });
          // Caddy 2.6 ends WebSockets when it reads its configuration again; the settings say so.
          if (proxy !== "caddy") assert.equal(await tunnel.echo("still here"), "still here");
          tunnel.close();
          upstream.finish(`drain-${proxy}`);
          assert.equal((await iterator.next()).value, "data: last\n\n");
          assert.equal((await iterator.next()).done, true);
        });
      });
    } finally {
      await two.close();
    }
  });
}

test("nginx: bodies without a length, many at once, addresses, ACME and plain HTTP", { skip, timeout: 240_000 }, async (t) => {
  await t.test("a chunked body that is too large, and too many at once", async () => {
    await withProxy("nginx", await makeSite({ maxConnectionsPerAddress: 3, maxBodyBytes: 1_000_000 }), async ({ at }) => {
      assertError(await ask(at, "/chunked", { bytes: 3_000_000, chunked: true }), 413);
      const streams = await Promise.all([1, 2, 3].map((id) => begin(at, `/stream/many-${id}`)));
      assert.deepEqual(
        streams.map(({ status }) => status),
        [200, 200, 200],
      );
      const refused = await ask(at, "/");
      assertError(refused, 429);
      assert.equal(refused.headers["retry-after"], "1");
      for (const id of [1, 2, 3]) upstream.finish(`many-${id}`);
    });
  });

  await t.test("the answers of http-01 by plain HTTP, and metrics for those who may", async () => {
    const site = await makeSite({ allowMetricsFrom: ["127.0.0.0/8"], ipv6: false });
    const webroot = mkdtempSync(join(tmpdir(), "openclaw-webroot-"));
    // nginx reads them after it gave up root.
    chmodSync(webroot, 0o755);
    mkdirSync(join(webroot, ".well-known/acme-challenge"), { recursive: true });
    writeFileSync(join(webroot, ".well-known/acme-challenge/word"), "answer");
    try {
      await withProxy("nginx", { ...site, acmeWebroot: webroot, alivePort: await freePort() }, async ({ at, site }) => {
        assert.equal((await ask(plainAt(site), "/.well-known/acme-challenge/word")).text, "answer");
        assert.equal((await ask(plainAt(site), "/.well-known/acme-challenge/other")).status, 404);
        assert.equal((await ask(at, "/metrics")).status, 200);
        assert.equal((await ask({ port: site.alivePort ?? 0, name: "127.0.0.1" }, "/alive")).text, "alive\n");
      });
    } finally {
      rmSync(webroot, { recursive: true, force: true });
    }
  });

  await t.test("a client that asks for an address, which no handshake names", async () => {
    const site = await makeSite({ names: ["127.0.0.1"] });
    for (const proxy of ["nginx", "caddy", "haproxy"] as const) {
      await withProxy(proxy, site, async () => {
        const at = { port: site.listen.https ?? 0, name: "127.0.0.1", ca: authority.ca };
        assert.equal((await ask(at, "/")).status, 200, proxy);
        await assert.rejects(ask(at, "/", { host: name }), proxy);
      });
    }
  });

  await t.test("plain HTTP, for a LAN", async () => {
    const site = await makeSite({ tls: { mode: "none" } });
    for (const proxy of ["nginx", "caddy", "haproxy"] as const) {
      await withProxy(proxy, { ...site, listen: { http: site.listen.http } }, async ({ site }) => {
        const { headers } = JSON.parse((await ask(plainAt(site), "/")).text);
        assert.equal(headers["x-forwarded-proto"], "http", proxy);
        await assert.rejects(ask(plainAt(site), "/", { host: "other.example.com" }), proxy);
      });
    }
  });
});

test("HAProxy as a balancer behind nginx: what nginx says of the client arrives, streams too", {
  skip,
  timeout: 240_000,
}, async () => {
  const two = await startProxiedUpstream("two");
  const behind = await makeSite({ balance: "cookie" }, { upstreams: [upstreamOf(upstream), upstreamOf(two)] });
  const balancer = await startProxy("haproxy", { ...behind, listen: { http: behind.listen.http } }, { role: "balancer" });
  try {
    const front = await makeSite(
      {},
      { upstreams: [{ id: "balancer", host: "127.0.0.1", port: behind.listen.http, state: "up" }] },
    );
    await withProxy("nginx", front, async ({ at }) => {
      const first = await ask(at, "/who", { headers: { "x-forwarded-for": "203.0.113.9" } });
      assert.equal(JSON.parse(first.text).headers["x-forwarded-for"], "127.0.0.1");
      assert.equal(JSON.parse(first.text).headers["x-forwarded-proto"], "https");
      const cookie = String(first.headers["set-cookie"]).split(";")[0] ?? "";
      for (let turn = 0; turn < 6; turn += 1)
        assert.equal((await ask(at, "/", { headers: { cookie } })).headers["x-upstream"], first.headers["x-upstream"]);
      const { parts } = await begin(at, "/stream/behind", { headers: { cookie } });
      const iterator = parts[Symbol.asyncIterator]();
      assert.equal((await iterator.next()).value, "data: first\n\n");
      const server = first.headers["x-upstream"] === "two" ? two : upstream;
      server.finish("behind");
      assert.equal((await iterator.next()).value, "data: last\n\n");
      const tunnel = await openTunnel(at, "/ws");
      assert.equal(await tunnel.echo("through both"), "through both");
      tunnel.close();
      // A gateway that is not ready any more is given nothing new, its cookies included.
      server.ready = false;
      await eventually("the other gateway answers", async () => {
        return (await ask(at, "/", { headers: { cookie } })).headers["x-upstream"] !== first.headers["x-upstream"];
      });
    });
  } finally {
    upstream.ready = true;
    await balancer.stop();
    await two.close();
  }
});

function handshake(at: ProxyAddress, options: object): Promise<unknown> {
  return new Promise((resolve) => {
    const socket = connectTls({ host: "127.0.0.1", port: at.port, servername: at.name, ca: at.ca, ...options }, () => {
      socket.destroy();
      resolve("it was accepted");
    });
    socket.on("error", resolve);
  });
}
