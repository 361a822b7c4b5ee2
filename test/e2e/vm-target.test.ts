/** The target `vm` on a server that boots: from nothing to a gateway behind nginx, changed under load, restarted, mended, rolled back, gone. */
import assert from "node:assert/strict";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { stringify } from "yaml";
import { describeFailures, startLoad } from "../support/constant-load.ts";
import { type LocalClone, makeClone } from "../support/local-clone.ts";
import { type Machine, startMachine, whyNoMachine } from "../support/machine.ts";
import { makeNetwork, type Network } from "../support/network.ts";
import { type NumberUpstream, startNumberUpstream } from "../support/number-upstream.ts";

const stack = "server";
const token = "a-token-of-the-load-0123456789";
const why = whyNoMachine();
if (why !== undefined) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${why}`);

let network: Network;
let upstream: NumberUpstream;
let machine: Machine;
let clone: LocalClone;

/** What destroy leaves on purpose, or what no package manager takes away again. */
const left = [
  // The data, its owner, and the record that both are ours: a later up finds them.
  /^\/var\/lib\/openclaw(\/|$)/,
  /^\/var\/lib\/openclaw-host(\/|$)/,
  /^\/etc\/(passwd|group|shadow|gshadow|subuid|subgid)-?$/,
  // sudo's note of its first use, nginx's page for visitors: their packages leave them.
  /^\/home\/admin\/\.sudo_as_admin_successful$/,
  /^\/var\/www(\/|$)/,
  // Package lists, logs and caches of apt, dpkg and debconf.
  /^\/var\/(lib|cache|log)\/(apt|dpkg|debconf|ucf|systemd|nginx|logrotate|python|update-rc\.d|misc)(\/|$)/,
  /^\/var\/log\/(alternatives\.log|dpkg\.log|bootstrap\.log|fontconfig\.log|fail2ban\.log.*)$/,
  /^\/var\/cache\/(ldconfig|man)(\/|$)/,
  /^\/etc\/(ld\.so\.cache|\.pwd\.lock|mailcap)$/,
  /^\/usr\/lib\/python3(\.\d+)?(\/|$)/,
  /^\/usr\/share\/python3(\/|$)/,
];

interface Settings {
  [section: string]: unknown;
}

function settings(more: Settings = {}): Settings {
  return {
    target: "vm",
    vm: {
      host: machine.address4,
      port: machine.sshPort,
      user: machine.user,
      hostKey: machine.hostKey,
      identity: { file: machine.key.file },
      unattendedUpgrades: false,
    },
    proxy: { names: [machine.address4] },
    models: { providers: { numbers: { baseUrl: upstream.baseUrl, models: ["numbers"] } } },
    tokens: [{ id: "load" }],
    ...more,
  };
}

/** The secrets in it were encrypted by the engine and stay as they are. */
let encrypted = "";
function writeStack(given: Settings): void {
  const config = Object.fromEntries(
    Object.entries(given)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [`openclaw-stack:${name}`, value]),
  );
  writeFileSync(stackFile(), stringify({ config }).concat(encrypted));
}

const stackFile = (): string => join(clone.directory, `stacks/Pulumi.${stack}.yaml`);

async function operate(...args: string[]): Promise<string> {
  const { code, text } = await clone.operate([...args, "-s", stack]);
  assert.equal(code, 0, `${args.join(" ")}:\n${text}`);
  return text;
}

const up = (): Promise<string> => operate("up", "--yes", "--diff=false");

function served(path: string): Promise<string> {
  return machine.good(`curl -sS --cacert /etc/ssl/openclaw/chain.pem https://${machine.address4}${path}`);
}

async function eventually(what: string, timeoutMs: number, isSo: () => Promise<boolean>): Promise<void> {
  const until = Date.now() + timeoutMs;
  while (!(await isSo())) {
    assert.ok(Date.now() < until, `not within ${timeoutMs} ms: ${what}`);
    await pause(200);
  }
}

before(async () => {
  if (why !== undefined) return;
  network = makeNetwork();
  upstream = await startNumberUpstream({ address: network.address4 });
  machine = await startMachine("vm-target", { network, login: "sudo" });
  clone = makeClone("vm-target");
});
after(async () => {
  await machine?.stop();
  await upstream?.close();
  network?.remove();
  await clone?.remove();
});

test("a server: from nothing to nothing", { skip: why, timeout: 1_500_000 }, async (context) => {
  const began = (): (() => string) => {
    const start = performance.now();
    return () => `${((performance.now() - start) / 1000).toFixed(1)} s`;
  };

  await context.test("the first up ends in a gateway behind nginx that answers", async (inner) => {
    writeStack(settings());
    await operate("stack", "init", stack);
    const { code, text } = await clone.operate(["config", "set", "--secret", "token-load", "-s", stack], { input: token });
    assert.equal(code, 0, text);
    const written = readFileSync(stackFile(), "utf8");
    encrypted = `  openclaw-stack:token-load:\n${/token-load:\n(.*secure:.*\n)/.exec(written)?.[1] ?? ""}${/^encryptionsalt:.*$/m.exec(written)?.[0] ?? ""}\n`;
    const right = readFileSync(stackFile(), "utf8");
    writeFileSync(stackFile(), right.replace(/(AAAAC3NzaC1lZDI1NTE5AAAAI)..../, "$1AAAA"));
    for (const command of [["doctor"], ["up", "--yes"]]) {
      const refused = await clone.operate([...command, "-s", stack]);
      assert.notEqual(refused.code, 0);
      assert.match(refused.text, /shows another key than the stack file's/);
    }
    writeFileSync(stackFile(), right);
    assert.doesNotMatch(await operate("doctor"), /^error/m);
    assert.deepEqual(
      (await machine.changedFiles()).filter(({ path }) => !left.some((pattern) => pattern.test(path))),
      [],
    );
    const time = began();
    await up();
    inner.diagnostic(`first up with packages: ${time()}`);
    assert.match(await served("/healthz"), /"ok":true/);
    const answer = await served(
      `/v1/chat/completions -H 'authorization: Bearer ${token}' -H 'content-type: application/json' -d '{"model":"numbers","messages":[{"role":"user","content":"call"}]}'`,
    );
    assert.match(answer, /"choices"/);
    assert.match(
      await machine.good(`curl -sS -o /dev/null -w '%{http_code} %{redirect_url}' http://${machine.address4}/x`),
      /^308 https/,
    );
    assert.equal(
      (await machine.good(`curl -sSk -o /dev/null -w '%{http_code}' https://${machine.address4}/metrics`)).trim(),
      "403",
    );
  });

  await context.test("the service is shut in, and what it writes arrives", async () => {
    const security = await machine.good("systemd-analyze security openclaw-gateway.service | tail -1");
    const level = Number(/: ([\d.]+) /.exec(security)?.[1]);
    assert.ok(level <= 1.5, security);
    await eventually("the usage is in the database", 30_000, async () => {
      const size = await machine.run("stat -c %s /var/lib/openclaw/usage.sqlite-wal");
      return Number(size.stdout) > 0;
    });
    assert.equal((await machine.run("systemctl --failed --no-legend")).stdout.trim(), "");
  });

  await context.test("nothing changed: nothing is done, and little is asked", async (inner) => {
    const time = began();
    const text = await up();
    inner.diagnostic(`up without a change: ${time()}`);
    assert.match(text, /\d+ unchanged/);
    assert.doesNotMatch(text, /updated|created|replaced/);
  });

  await context.test("config, token and release change under load, and no request fails", async (inner) => {
    const caFile = join(clone.base, "chain.pem");
    writeFileSync(caFile, await machine.good("cat /etc/ssl/openclaw/chain.pem"));
    const load = await startLoad({
      url: `https://${machine.address4}`,
      caFile,
      serverName: machine.address4,
      token,
      model: "numbers",
      callsPerSecond: 10,
      streams: 2,
      streamPieces: 100,
      streamPaceMs: 100,
      slowMs: 10_000,
    });
    try {
      load.phase("config");
      writeStack(settings({ cache: { enabled: false } }));
      const time = began();
      await up();
      inner.diagnostic(`config under load: ${time()}`);
      load.phase("release");
      appendFileSync(join(clone.directory, "gateway/errors.ts"), "\n// Another release.\n");
      const again = began();
      await up();
      inner.diagnostic(`release under load: ${again()}`);
    } finally {
      const report = await load.finish();
      await load.stop();
      assert.deepEqual(report.failures, [], describeFailures(report));
      inner.diagnostic(`${report.calls} calls, ${report.streams} streams, slowest ${JSON.stringify(report.slowest)}`);
    }
  });

  await context.test("a restart of the server", async () => {
    await machine.reboot();
    await eventually("it answers", 60_000, async () =>
      (await machine.run(`curl -sk https://${machine.address4}/healthz`)).stdout.includes("ok"),
    );
  });

  await context.test("what somebody changed by hand is found by refresh and put right by up", async () => {
    await machine.good(
      "echo '# by hand' >>/etc/nginx/conf.d/openclaw.conf; rm /etc/sysctl.d/60-openclaw.conf; systemctl stop fail2ban",
    );
    const found = await operate("refresh", "--yes");
    assert.match(found, /openclaw\.conf was changed by somebody else/);
    assert.match(found, /60-openclaw\.conf is gone/);
    assert.match(found, /fail2ban\.service does not run/);
    const text = await up();
    assert.match(text, /conf\.d\/openclaw\.conf was changed by somebody else; up puts it right/);
    assert.equal(await machine.good("grep -c 'by hand' /etc/nginx/conf.d/openclaw.conf || true"), "0\n");
    await machine.good("test -f /etc/sysctl.d/60-openclaw.conf && systemctl is-active fail2ban");
    assert.match(await operate("refresh", "--yes"), /as they were put there/);
    assert.doesNotMatch(await up(), /updated|created|replaced/);
  });

  await context.test("releases are listed, and there is a way back with all data", async () => {
    const list = await operate("releases", "list");
    assert.equal(list.trim().split("\n").length, 2, list);
    const before = /^\* (\S+)/m.exec(list)?.[1];
    await operate("releases", "rollback");
    const after = /^\* (\S+)/m.exec(await operate("releases", "list"))?.[1];
    assert.ok(after !== undefined && after !== before, `${before} -> ${after}`);
    assert.match(await served("/healthz"), /"ok":true/);
    await operate("releases", "rollback", after, "--data");
    assert.match(await served("/healthz"), /"ok":true/);
  });

  await context.test("destroy leaves the data, and else what a package manager leaves", async () => {
    await operate("destroy", "--yes");
    const changes = await machine.changedFiles();
    const rest = changes.filter(({ path }) => !left.some((pattern) => pattern.test(path)));
    assert.deepEqual(
      rest.map(({ path, change }) => `${change} ${path}`),
      [],
    );
    assert.equal((await machine.run("systemctl --failed --no-legend")).stdout.trim(), "");
    assert.equal((await machine.run("pgrep -f '[o]penclaw'")).stdout, "");
    await machine.good("test -f /var/lib/openclaw/usage.sqlite");
  });

  await context.test("again with Caddy, on the data that were left; this time they go too", async () => {
    writeStack(settings({ proxy: { server: "caddy", names: [machine.address4] }, keepData: false }));
    await up();
    assert.match(await served("/healthz"), /"ok":true/);
    assert.equal(
      (await machine.good(`curl -sSk -o /dev/null -w '%{http_code}' https://${machine.address4}/metrics`)).trim(),
      "403",
    );
    assert.doesNotMatch(await up(), /updated|created|replaced/);
    await operate("destroy", "--yes");
    assert.equal(
      (await machine.run("ls -d /var/lib/openclaw /var/lib/openclaw-host /opt/openclaw /etc/openclaw 2>/dev/null")).stdout,
      "",
    );
    assert.notEqual((await machine.run("getent passwd openclaw")).code, 0);
    assert.equal((await machine.run("systemctl --failed --no-legend")).stdout.trim(), "");
  });
});
