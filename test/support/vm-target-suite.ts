/**
 * The life of a server of the target vm, as an operator lives it: from nothing to a gateway behind a proxy, changed and broken under
 * constant load, restarted, mended, rolled back, gone. One server, one stack, the same list for each proxy.
 */
import assert from "node:assert/strict";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { LoadFailure } from "./constant-load.ts";
import type { Suite } from "./debian-root.ts";
import { eventually } from "./eventually.ts";
import { whyNoMachine } from "./machine.ts";
import { bansTheGuesserOnly } from "./vm-bans.ts";
import { describeVmFailures, echoPort, removeEchoSite, startVmLoad, type VmLoad } from "./vm-load.ts";
import { makeVmServer, type Sections, stopwatch, type VmServer } from "./vm-server.ts";

export interface VmTargetCase {
  name: string;
  suite: Suite;
  proxy: "nginx" | "caddy";
  firewall: "nftables" | "ufw";
  /** Of the changes that a running gateway and proxy take over by themselves. */
  rounds: number;
  /** Faults that are none: said where they are allowed. */
  allowed(failure: LoadFailure): boolean;
}

const token = "a-token-of-the-load-0123456789";
const appToken = (round: number): string => `a-token-of-an-app-${String(round).padStart(3, "0")}-0123456789`;
/** Streams of the killed gateway, and calls that were just under way. */
const mostCutByKill = 2 + 6;

/** What a reload of the proxy may cost, where `allowed` says so: three WebSockets, a call or two on kept connections. */
const mostOfReload = 5;

/** Changed by the test itself. */
const ofTheOwner = /^\/etc\/ssl\/of-the-owner\//;

/** What destroy leaves on purpose, or what no package manager takes away again. */
const left = [
  // The data, its owner, and the record that both are ours: a later up finds them.
  /^\/var\/lib\/openclaw(\/|$)/,
  /^\/var\/lib\/openclaw-(host|redis)(\/|$)/,
  /^\/etc\/(passwd|group|shadow|gshadow|subuid|subgid)-?$/,
  // sudo's note of its first use, nginx's page for visitors: their packages leave them.
  /^\/home\/admin\/\.sudo_as_admin_successful$/,
  /^\/var\/www(\/|$)/,
  // The library for certificates in Caddy makes it where anybody runs Caddy.
  /^\/root\/\.step$/,
  // Package lists, logs and caches of apt, dpkg and debconf.
  /^\/var\/(lib|cache|log)\/(apt|dpkg|debconf|ucf|systemd|nginx|caddy|redis|logrotate|python|update-rc\.d|misc)(\/|$)/,
  /^\/var\/log\/(alternatives\.log|dpkg\.log|bootstrap\.log|fontconfig\.log|fail2ban\.log.*|ufw\.log)$/,
  /^\/var\/cache\/(ldconfig|man)(\/|$)/,
  /^\/etc\/(ld\.so\.cache|\.pwd\.lock|mailcap)$/,
  /^\/usr\/lib\/python3(\.\d+)?(\/|$)/,
  /^\/usr\/share\/python3(\/|$)/,
];

export function vmTargetSuite({ name, suite, proxy, firewall, rounds, allowed }: VmTargetCase): void {
  const why = whyNoMachine();
  if (why !== undefined) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${why}`);
  let server: VmServer;

  before(async () => {
    if (why !== undefined) return;
    const keep = {
      tokens: [{ id: "load" }, { id: "app" }],
      rotation: { overlapSeconds: 3600 },
      drain: { timeoutMs: 60_000 },
      // Each stream is to come from the model server.
      cache: { enabled: false },
    };
    server = await makeVmServer(name, suite, { firewall, redis: true, allowedPorts: [echoPort] }, keep);
  });
  after(() => server?.close());

  /** The section of the stack file; `renewed`: with the owner's own certificate. */
  const proxySection = (own: boolean): Sections => ({
    server: proxy,
    names: [server.machine.address4, server.machine.address6],
    ...(own ? { tls: { mode: "files", files: server.ownFiles } } : {}),
  });
  const good = (command: string): Promise<string> => server.machine.good(command);
  const mainPid = async (): Promise<string> => (await good("systemctl show -p MainPID --value openclaw-gateway")).trim();
  const letsIn = async (given: string): Promise<boolean> => (await server.ask("/v1/models", { token: given })).status === 200;
  const proxyFile = proxy === "nginx" ? "/etc/nginx/conf.d/openclaw.conf" : "/etc/caddy/Caddyfile";

  test(`${name}: from nothing to nothing`, { skip: why, timeout: 1_190_000 }, async (context) => {
    // Each stands on the one before it.
    let broken = false;
    const step = (what: string, work: () => Promise<void>) =>
      context.test(what, async (inner) => {
        if (broken) return inner.skip("a step before it failed");
        const time = stopwatch();
        try {
          await work();
        } catch (error) {
          broken = true;
          throw error;
        } finally {
          console.log(`${name}: ${what}: ${time()}${broken ? ", failed" : ""}`);
        }
      });

    await step("a wrong host key ends before anything changes", async () => {
      await server.secret("token-load", token);
      await server.secret("token-app", appToken(0));
      server.settings({ proxy: proxySection(false) });
      const right = readFileSync(server.stackFile, "utf8");
      writeFileSync(server.stackFile, right.replace(/(AAAAC3NzaC1lZDI1NTE5AAAAI)..../, "$1AAAA"));
      const refused = await server.clone.operate(["up", "--yes", "-s", "server"]);
      assert.notEqual(refused.code, 0);
      assert.match(refused.text, /shows another key than the stack file's/);
      writeFileSync(server.stackFile, right);
      assert.doesNotMatch(await server.operate("doctor"), /^error/m);
      assert.deepEqual(await changes(server), []);
    });

    await step(`the first up ends in a gateway behind ${proxy}`, async () => {
      const time = stopwatch();
      await server.up();
      console.log(`${name}: first up with packages: ${time()}`);
      assert.match((await server.ask("/healthz")).body, /"ok":true/);
      assert.equal((await server.ask("/metrics")).status, 403);
      assert.ok((await letsIn(token)) && !(await letsIn("a-wrong-token-of-nobody")));
      const plain = `curl -sS -o /dev/null -w '%{http_code} %{redirect_url}' http://${server.machine.address4}/x`;
      assert.match(await good(plain), /^308 https/);
    });

    await step("the service is shut in, and what it writes arrives", async () => {
      const security = await good("systemd-analyze security openclaw-gateway.service | tail -1");
      assert.ok(Number(/: ([\d.]+) /.exec(security)?.[1]) <= 1.5, security);
      await eventually("the usage is in the database", async () => {
        const size = await server.machine.run("stat -c %s /var/lib/openclaw/usage.sqlite-wal");
        return Number(size.stdout) > 0;
      });
      assert.equal((await server.machine.run("systemctl --failed --no-legend")).stdout.trim(), "");
      if (proxy === "nginx") assert.match(await good("nginx -T 2>/dev/null"), /worker_connections 16384;/);
    });

    await step("nothing changed: nothing is done; then the owner's certificate takes the place of ours", async () => {
      const time = stopwatch();
      const text = await server.up();
      console.log(`${name}: up without a change: ${time()}`);
      assert.match(text, /\d+ unchanged/);
      assert.doesNotMatch(text, /updated|created|replaced/);
      server.settings({ proxy: proxySection(true) });
      await server.up();
      await server.renewCertificate();
    });

    let load: VmLoad | undefined;
    try {
      await step("constant load begins, over both families of addresses", async () => {
        load = await startVmLoad(server, proxy, token);
        assert.equal((await server.ask("/v1/models", { token, address: server.machine.address6 })).status, 200);
      });

      await step(`${rounds} rounds of config, token, certificate and Redis`, async () => {
        const pid = await mainPid();
        for (let round = 1; round <= rounds; round++) {
          load?.phase(`round ${round}: config and token`);
          server.settings({ proxy: proxySection(true), cache: { enabled: false, ttlSeconds: 300 + round } });
          await server.secret("token-app", appToken(round));
          await server.up();
          assert.ok(await letsIn(appToken(round)), "the new token is let in");
          assert.ok(await letsIn(appToken(round - 1)), "the one before it, too");
          load?.phase(`round ${round}: certificate`);
          await server.renewCertificate();
          load?.phase(`round ${round}: Redis`);
          await good("systemctl restart openclaw-redis && systemctl is-active openclaw-redis");
        }
        assert.equal(await mainPid(), pid, "the running gateway takes all of that over by itself");
      });

      await step("a token is rotated with an overlap, and another release comes", async () => {
        load?.phase("rotation and release");
        const before = await mainPid();
        await server.operate("token", "rotate", "load", "--overlap", "1h", "--no-up");
        appendFileSync(join(server.clone.directory, "gateway/errors.ts"), "\n// Another release.\n");
        await server.up();
        assert.notEqual(await mainPid(), before);
        assert.ok(await letsIn(token), "the token of before outlives the process");
      });

      await step("ten 401s ban the client and nobody else", async () => {
        load?.phase("bans");
        await bansTheGuesserOnly(server, token);
      });

      await step("a gateway that is killed takes nobody with it but its own connections", async () => {
        load?.phase("killed");
        const pid = await mainPid();
        await good(`kill -9 ${pid}`);
        await eventually("another one answers", async () => (await mainPid()) !== pid && (await letsIn(token)));
      });

      await step("nothing failed but what was the killed gateway's", async () => {
        const report = await load?.finish();
        assert.ok(report);
        console.log(`${name}: ${report.text}`);
        const cut = report.failures.filter(({ phase, kind }) => phase === "killed" && kind !== "websocket");
        const excused = report.failures.filter(allowed);
        const others = report.failures.filter((failure) => !cut.includes(failure) && !excused.includes(failure));
        assert.deepEqual(others, [], describeVmFailures(others, report.reports));
        assert.ok(cut.length <= mostCutByKill, describeVmFailures(cut, report.reports));
        assert.ok(excused.length <= rounds * mostOfReload, describeVmFailures(excused, report.reports));
      });
    } finally {
      await load?.stop();
    }

    await step("a restart of the server", async () => {
      await removeEchoSite(server, proxy);
      await server.machine.reboot();
      await eventually("it answers", () => letsIn(token));
      await eventually("all is there", async () => {
        const units = ["openclaw-redis", "openclaw-gateway", proxy, "fail2ban"].join(" ");
        return (await server.machine.run(`systemctl is-active -q ${units}`)).code === 0;
      });
    });

    await step("what somebody changed by hand is found by refresh and put right by up", async () => {
      await good(`echo '# by hand' >>${proxyFile}; rm /etc/sysctl.d/60-openclaw.conf; systemctl stop fail2ban`);
      const found = await server.operate("refresh", "--yes");
      assert.ok(found.includes(`${proxyFile} was changed by somebody else`), found);
      assert.match(found, /60-openclaw\.conf is gone/);
      assert.match(found, /fail2ban\.service does not run/);
      await server.up();
      assert.equal(await good(`grep -c 'by hand' ${proxyFile} || true`), "0\n");
      await good("test -f /etc/sysctl.d/60-openclaw.conf && systemctl is-active fail2ban");
      assert.match(await server.operate("refresh", "--yes"), /as they were put there/);
    });

    await step("releases are listed, and there is a way back with all data", async () => {
      const runs = async (): Promise<string | undefined> => /^\* (\S+)/m.exec(await server.operate("releases", "list"))?.[1];
      const before = await runs();
      await server.operate("releases", "rollback");
      const now = await runs();
      assert.ok(now !== undefined && now !== before, `${before} -> ${now}`);
      assert.ok(await letsIn(token));
      await server.operate("releases", "rollback", now, "--data");
      assert.ok(await letsIn(token));
    });

    await step("destroy leaves the data, and else what a package manager leaves", async () => {
      await server.operate("destroy", "--yes");
      assert.deepEqual(await changes(server), []);
      assert.equal((await server.machine.run("systemctl --failed --no-legend")).stdout.trim(), "");
      assert.equal((await server.machine.run("pgrep -f '[o]penclaw'")).stdout, "");
      await good("test -f /var/lib/openclaw/usage.sqlite");
    });
  });
}

async function changes({ machine }: VmServer): Promise<string[]> {
  const all = await machine.changedFiles();
  return all
    .filter(({ path }) => ![...left, ofTheOwner].some((pattern) => pattern.test(path)))
    .map(({ path, change }) => `${change} ${path}`);
}
