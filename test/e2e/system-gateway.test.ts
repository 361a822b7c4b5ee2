/** The gateway's units on a machine that boots: the sandbox holds and the gateway works in it; updates, crashes, stops and restarts lose nothing. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { buildRelease } from "../../infra/release/index.ts";
import { reloadCommands } from "../../infra/render/system/commands.ts";
import { renderSystem } from "../../infra/render/system/index.ts";
import type { Machine, SystemFile } from "../../infra/render/system/machine.ts";
import { installPrograms } from "../support/debian-packages.ts";
import { machineNamed } from "../support/machines.ts";
import type { Outcome } from "../support/outcome.ts";
import { makeVm, type Vm, whyNoVm } from "../support/vm.ts";

const token = "a-token-that-is-planted-here-0123456789";
const service = "openclaw-gateway.service";
const models = "http://127.0.0.1:18789/v1/models";
const chat = "http://127.0.0.1:18789/v1/chat/completions";
const configPath = "etc/openclaw/openclaw.json";
const limit = 1.5;

/** The gateway's part of a small server: what the proxy, the firewall and the others need is not in this machine. */
function justTheGateway(machine: Machine): Machine {
  return {
    ...machine,
    fail2ban: undefined,
    firewall: { kind: "off", allowedPorts: [] },
    unattendedUpgrades: false,
    timeSync: false,
    proxy: {
      kind: "none",
      watched: [],
      check: "true",
      certbot: undefined,
      accessLog: undefined,
      httpPort: 80,
      httpsPort: undefined,
    },
    gateway: { ...machine.gateway, environment: { OPENCLAW_ALLOW_UNCONFIGURED: "1" } },
  };
}

const config = {
  gateway: {
    auth: { mode: "token", token: { source: "file", provider: "gateway-token", id: "value" } },
    trustedProxies: ["127.0.0.1"],
  },
  secrets: {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: systemd sets this variable for the gateway
    providers: { "gateway-token": { source: "file", path: "${CREDENTIALS_DIRECTORY}/gateway-token", mode: "singleValue" } },
  },
};

let vm: Vm;
let refusal: string | undefined;
let files: SystemFile[] = [];

before(async () => {
  refusal = whyNoVm();
  if (refusal) {
    assert.notEqual(process.env.CI, "true", `this test must run in CI: ${refusal}`);
    return;
  }
  const { directory } = buildRelease(process.arch === "arm64" ? "linux-arm64" : "linux-x64");
  // The same twice: what is tried is the change from one to the other.
  const binds = { "/opt/openclaw/releases/one": directory, "/opt/openclaw/releases/two": directory };
  vm = await makeVm("units", { binds });
  files = renderSystem(justTheGateway(machineNamed("debian12-small")));
  const put = (path: string, content: string, mode: number): void => {
    const place = join(vm.root, path);
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, content);
    chmodSync(place, mode);
  };
  for (const { path, content, mode } of files) put(path, content, Number.parseInt(mode, 8));
  put("etc/openclaw/secrets/gateway-token", `${token}\n`, 0o600);
  put(configPath, JSON.stringify(config), 0o644);
  mkdirSync(join(vm.root, "opt/openclaw/releases/one"), { recursive: true });
  mkdirSync(join(vm.root, "opt/openclaw/releases/two"), { recursive: true });
  copyFileSync(join(import.meta.dirname, "../support/steady-requests.ts"), join(vm.root, "srv/steady-requests.ts"));
  await vm.boot();
  for (const command of reloadCommands(files)) await good(command);
  next("one");
  await good("/opt/openclaw/bin/replace-gateway");
});
after(() => vm?.remove());

function machineTest(name: string, work: (context: TestContext) => Promise<void>): void {
  test(name, async (context) => {
    if (refusal) context.skip(refusal);
    else await work(context);
  });
}

const shell = (command: string): Promise<Outcome> => vm.run(["sh", "-c", command]);

async function good(command: string): Promise<string> {
  const { code, text } = await shell(command);
  assert.equal(code, 0, `${command}: ${text}`);
  return text.trim();
}

const isActive = async (unit: string): Promise<string> => (await shell(`systemctl is-active ${unit}`)).stdout.trim();
const mainPid = async (): Promise<number> => Number(await good(`systemctl show -p MainPID --value ${service}`));
/** The status, or 000 where nobody answers. */
const ask = async (headers = `-H "authorization: Bearer ${token}"`): Promise<string> =>
  (await shell(`curl -s -m 60 -o /dev/null -w '%{http_code}' ${headers} ${models}`)).stdout;

function next(release: string): void {
  symlinkSync(`releases/${release}`, join(vm.root, "opt/openclaw/next"));
}

machineTest("systemd finds little to object to, and no fault in the units", async () => {
  const text = await good(`SYSTEMD_COLORS=0 systemd-analyze security --no-pager ${service}`);
  const level = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(text)?.[1]);
  assert.ok(level <= limit, text);
  assert.equal((await good(`systemd-analyze verify ${service}`)).trim(), "");
});

machineTest("the gateway is shut in, and does its work there: models, usage, secrets", async () => {
  const status = await good(`cat /proc/${await mainPid()}/status`);
  for (const line of [/^Seccomp:\t2$/m, /^NoNewPrivs:\t1$/m, /^CapEff:\t0+$/m, /^CapBnd:\t0+$/m]) assert.match(status, line);
  assert.doesNotMatch(status, /^Uid:\t0/m);
  const body = JSON.stringify({ messages: [{ role: "user", content: "hello" }] });
  const sent = `-H 'content-type: application/json' -d '${body}'`;
  assert.match(await good(`curl -s -m 60 -H 'authorization: Bearer ${token}' ${sent} ${chat}`), /"chat\.completion"/);
  assert.match(await good("ls /var/lib/openclaw"), /usage\.sqlite/);
  assert.doesNotMatch(await good(`journalctl -o cat -u ${service}`), /EPERM|EACCES|read-only|usage_lost/i);
});

machineTest("the token is in no environment, no argument, no unit and no log, and only the gateway may read it", async () => {
  const pid = await mainPid();
  const places = `/proc/${pid}/environ /proc/${pid}/cmdline /etc/systemd/system/* /opt/openclaw/bin/*`;
  assert.notEqual((await shell(`cat ${places} | grep -qa ${token}`)).code, 0);
  assert.notEqual((await shell(`systemctl show ${service} | grep -q ${token}`)).code, 0);
  assert.notEqual((await shell(`journalctl -o export | grep -qa ${token}`)).code, 0);
  const given = `/run/credentials/${service}/gateway-token`;
  assert.equal(await good(`stat -c '%a %U' ${given}`), "400 openclaw");
  assert.notEqual((await shell(`setpriv --reuid=nobody --clear-groups cat ${given}`)).code, 0);
});

machineTest("ten updates under load lose nothing, over new connections and over kept ones", async (context) => {
  const swap = [
    "cd /opt/openclaw; for turn in two one two one two one two one two two; do",
    "ln -s releases/$turn next; begun=$(date +%s%3N); bin/replace-gateway || exit; echo $(($(date +%s%3N) - begun)); done",
  ].join(" ");
  const client = `/opt/openclaw/current/bin/node /srv/steady-requests.ts ${chat} ${token} 40`;
  const { code, stdout, text } = await shell(
    `${client} > /srv/tally & sleep 1; (${swap}); code=$?; kill $!; wait $!; cat /srv/tally; exit $code`,
  );
  assert.equal(code, 0, text);
  const lines = stdout.trim().split("\n");
  const { tally, reused, slowestMs } = JSON.parse(lines.pop() ?? "");
  context.diagnostic(
    `updates took ${lines} ms; ${tally[200]} requests, the slowest ${slowestMs} ms; ${reused} on used connections`,
  );
  assert.equal(lines.length, 10);
  assert.deepEqual(Object.keys(tally), ["200"], JSON.stringify(tally));
  assert.ok(reused >= 20, `${reused} requests on used connections`);
  assert.equal(await good("readlink /opt/openclaw/current"), "releases/two");
  assert.equal(await isActive("openclaw-gateway-next.service"), "inactive");
  assert.equal(await isActive(service), "active");
});

machineTest(
  "one that stands still or crashes is replaced, later each time; what comes meanwhile waits and is served",
  async () => {
    const dropIn = `/run/systemd/system/${service}.d`;
    await good(`mkdir -p ${dropIn} && printf '[Service]\\nWatchdogSec=5\\n' > ${dropIn}/watchdog.conf`);
    await good(`systemctl daemon-reload && systemctl restart ${service}`);
    const seen = async (): Promise<number> =>
      Number(await good(`systemctl show -p WatchdogTimestampMonotonic --value ${service}`));
    const pid = await mainPid();
    const first = await seen();
    await until(async () => (await seen()) > first + 5_000_000);
    assert.equal(await mainPid(), pid, "one that turns is left alone");
    await good(`rm -r ${dropIn} && kill -STOP ${pid}`);
    assert.equal(await ask(), "200");
    assert.notEqual(await mainPid(), pid);
    assert.match(await good(`journalctl -o cat -u ${service}`), /Watchdog timeout/);
    await good("systemctl daemon-reload");
    for (let crash = 2; crash <= 3; crash += 1) {
      await good(`kill -KILL ${await mainPid()}`);
      const { code, text } = await shell(
        "for i in $(seq 100); do [ $(systemctl show -p MainPID --value openclaw-gateway) = 0 ] && exit; sleep 0.1; done; exit 1",
      );
      assert.equal(code, 0, text);
      assert.equal(await ask(), "200");
      assert.equal(await good("cat /run/openclaw/crashes-current"), String(crash));
    }
  },
);

machineTest("a stop is a stop: refused at once, and not begun again by a request; a start begins it", async () => {
  await good(`systemctl stop ${service}`);
  await until(async () => (await isActive("openclaw-gateway.socket")) === "inactive");
  assert.equal(await ask(), "000");
  assert.notEqual(await isActive(service), "active");
  await good(`systemctl start ${service}`);
  assert.equal(await ask(), "200");
});

machineTest("a config that cannot be used never takes the place of the running gateway", async () => {
  const pid = await mainPid();
  writeFileSync(join(vm.root, configPath), '{"gateway":{"prt":1}}');
  try {
    const { code, text } = await shell("/opt/openclaw/bin/replace-gateway");
    assert.equal(code, 1);
    assert.match(text, /gateway\.prt: unknown key/);
    assert.match(text, /goes on/);
    assert.equal(await mainPid(), pid);
    assert.equal(await ask(), "200");
    // By hand it does, and then requests are refused instead of waiting for somebody.
    await shell(`systemctl restart ${service}`);
    await until(async () => (await isActive("openclaw-gateway.socket")) === "inactive");
    assert.equal(await ask(), "000");
  } finally {
    writeFileSync(join(vm.root, configPath), JSON.stringify(config));
  }
  await good(`systemctl restart ${service}`);
  assert.equal(await ask(), "200");
});

machineTest("a refused token is in the journal with the client's address, where fail2ban finds it", async (context) => {
  const missing = installPrograms({ "fail2ban-regex": "fail2ban" });
  if (missing) return context.skip(missing);
  assert.equal(await ask('-H "authorization: Bearer wrong" -H "x-forwarded-for: 192.0.2.55"'), "401");
  const filter = renderSystem(machineNamed("debian12-small")).find(({ path }) => path.includes("/filter.d/"));
  const folder = mkdtempSync(join(tmpdir(), "journal-"));
  try {
    writeFileSync(join(folder, "filter.conf"), filter?.content ?? "");
    let lines = "";
    await until(async () => {
      lines = await good(`journalctl -q -o short-iso -u ${service}`);
      return lines.includes("192.0.2.55");
    });
    writeFileSync(join(folder, "lines"), `${lines}\n`);
    const found = spawnSync("fail2ban-regex", ["--out", "ip", join(folder, "lines"), join(folder, "filter.conf")], {
      encoding: "utf8",
    });
    assert.deepEqual(new Set(found.stdout.trim().split("\n")), new Set(["192.0.2.55"]), found.stderr);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

machineTest("after a restart of the machine it serves again, from the same release and with its data", async () => {
  await vm.shutDown();
  await vm.boot();
  await until(async () => (await isActive("openclaw-gateway.socket")) === "active");
  assert.equal(await ask(), "200");
  assert.equal(await good("readlink /opt/openclaw/current"), "releases/two");
});

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`was not so within a minute: ${isSo}`);
    await pause(200);
  }
}
