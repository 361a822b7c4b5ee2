/** The gateway as a service of the user's systemd, on a machine that boots: sessions end, linger is given or refused, the machine restarts. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, globSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { copyRepository } from "../support/local-clone.ts";
import type { Outcome } from "../support/outcome.ts";
import { makeVm, type Vm, whyNoVm } from "../support/vm.ts";

const repository = join(import.meta.dirname, "../..");
/** Lingers by the administrator's will; may switch lingering on; may not. Each has a clone and a port. */
const users = { lingering: 18789, permitted: 18790, refused: 18791 };
type User = keyof typeof users;

let vm: Vm;
let refusal: string | undefined;

before(async () => {
  refusal = whyNoVm();
  if (refusal) {
    assert.notEqual(process.env.CI, "true", `this test must run in CI: ${refusal}`);
    return;
  }
  const binds = Object.keys(users).map((user) => [`/home/${user}/stack/node_modules`, join(repository, "node_modules")]);
  vm = await makeVm("systemd", { binds: Object.fromEntries(binds) });
  for (const [user, port] of Object.entries(users)) {
    execFileSync("useradd", ["--root", vm.root, "--create-home", "--shell", "/bin/bash", user]);
    const clone = join(vm.root, "home", user, "stack");
    copyRepository(clone);
    const example = readFileSync(join(clone, "stacks/examples/local.yaml"), "utf8");
    writeFileSync(join(clone, "stacks/Pulumi.local.yaml"), example.replace("port: 18789", `port: ${port}`));
    execFileSync("chroot", [vm.root, "chown", "-R", `${user}:`, `/home/${user}`]);
  }
  await vm.boot();
});
after(() => vm?.remove());

/** With a reason in words where the machine cannot be had. */
function machineTest(name: string, work: (context: TestContext) => Promise<void>): void {
  test(name, async (context) => {
    if (refusal) context.skip(refusal);
    else await work(context);
  });
}

const node = `${join("node_modules", `node-linux-${process.arch}`, "bin")}`;

/** An operator's command in a login of its own; when it ends the user is logged out. */
function operate(user: User, ...args: string[]): Promise<Outcome> {
  const directory = `/home/${user}/stack`;
  const PATH = `${directory}/${node}:/usr/bin:/bin`;
  return vm.login(user, [`${directory}/${node}/node`, "bin/openclaw-stack.cjs", ...args], { directory, environment: { PATH } });
}

async function good(user: User, ...args: string[]): Promise<string> {
  const { code, text } = await operate(user, ...args);
  assert.equal(code, 0, `${args.join(" ")}: ${text}`);
  return text;
}

interface Status {
  phase: string;
  gatewayPid: number;
  supervisorPid: number;
}

async function status(user: User): Promise<Status> {
  return JSON.parse((await operate(user, "status", "--json")).stdout);
}

/** Kills a process in there and tells after how many milliseconds another gateway answers. */
async function killed(user: User, pid: number, oldGateway: number): Promise<number> {
  const script = `
    process.kill(${pid}, "SIGKILL");
    const began = performance.now();
    const isThere = () => { try { return process.kill(${oldGateway}, 0); } catch { return false; } };
    const answers = () => fetch("http://127.0.0.1:${users[user]}/healthz").then((response) => response.ok, () => false);
    setTimeout(() => process.exit(1), 20_000).unref();
    while (isThere() || !(await answers())) await new Promise((resolve) => setTimeout(resolve, 10));
    console.log(Math.round(performance.now() - began));`;
  const { code, stdout, text } = await vm.run([`/home/${user}/stack/${node}/node`, "--input-type=module", "-e", script]);
  assert.equal(code, 0, text);
  return Number(stdout);
}

async function answers(user: User): Promise<boolean> {
  return (await vm.run(["curl", "-sf", `http://127.0.0.1:${users[user]}/healthz`])).code === 0;
}

async function eventually(what: string, timeoutMs: number, isSo: () => Promise<boolean>): Promise<void> {
  const until = Date.now() + timeoutMs;
  while (!(await isSo())) {
    assert.ok(Date.now() < until, `not within ${timeoutMs} ms: ${what}`);
    await pause(50);
  }
}

async function lingers(user: User): Promise<boolean> {
  return existsSync(join(vm.root, "var/lib/systemd/linger", user));
}

function units(user: User): string[] {
  const folder = join(vm.root, "home", user, ".config/systemd/user");
  return existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".service"))
    : [];
}

/** What of ours runs for the user: command lines. */
async function processes(user: User): Promise<string[]> {
  const { stdout } = await vm.run(["ps", "-u", user, "-o", "args="]);
  return stdout.split("\n").filter((line) => /node|openclaw/.test(line));
}

/** Lingering, or closing where processes of the session go on; a user who is gone altogether is not known any more. */
async function loggedOut(user: User): Promise<void> {
  await eventually(`${user} is logged out`, 10_000, async () => {
    const { code, stdout } = await vm.run(["loginctl", "show-user", user, "--property=State", "--value"]);
    return code !== 0 || /^(lingering|closing)$/.test(stdout.trim());
  });
}

/**
 * Kills first the gateway, then its supervisor, and sees both back in time; more often where the machine does much else
 * at the moment. A new supervisor has no crashes to back off from.
 */
async function killBoth(user: User, context: TestContext): Promise<void> {
  const best = { gatewayPid: 9999, supervisorPid: 9999 };
  for (let round = 0; round < 3 && Math.max(best.gatewayPid, best.supervisorPid) >= 2000; round++) {
    for (const victim of ["gatewayPid", "supervisorPid"] as const) {
      const before = await status(user);
      const time = await killed(user, before[victim], before.gatewayPid);
      const now = await status(user);
      assert.equal(now.phase, "ready");
      assert.notEqual(now.gatewayPid, before.gatewayPid);
      context.diagnostic(`kill -9 of ${victim}: another gateway answers after ${time} ms`);
      best[victim] = Math.min(best[victim], time);
    }
  }
  assert.ok(best.gatewayPid < 2000 && best.supervisorPid < 2000, JSON.stringify(best));
}

machineTest(
  "a user who lingers: a service that outlives the session, a crash and a restart of the machine",
  async (context) => {
    assert.equal((await vm.run(["loginctl", "enable-linger", "lingering"])).code, 0);
    await good("lingering", "up");
    const [unit = "", ...others] = units("lingering").filter((name) => !name.includes("/"));
    assert.match(unit, /^openclaw-gateway-[0-9a-f]{8}\.service$/);
    assert.deepEqual(others, []);
    await loggedOut("lingering");
    assert.ok(await answers("lingering"));

    // What is killed must not have to compile everything anew: the running processes have put their code on disk.
    const cache = "home/lingering/.local/share/openclaw-stack/*/local/run/compile-cache/*/*";
    await eventually("compiled code is kept", 15_000, async () => globSync(cache, { cwd: vm.root }).length > 0);
    await killBoth("lingering", context);

    await vm.shutDown();
    await vm.boot();
    await eventually("the gateway is back after a restart of the machine", 15_000, () => answers("lingering"));
    assert.equal((await vm.run(["loginctl", "list-sessions", "--no-legend"])).stdout, "");
    const again = await good("lingering", "up");
    assert.match(again, /\d+ unchanged/);
    assert.doesNotMatch(again, /was not running/);

    await good("lingering", "destroy");
    assert.deepEqual(units("lingering"), []);
    assert.deepEqual(await processes("lingering"), []);
    assert.ok(await lingers("lingering"), "lingering was the administrator's will and stays");
  },
);

machineTest("a user who may switch lingering on: it is on while something is deployed, and off again afterwards", async () => {
  assert.ok(!(await lingers("permitted")));
  await good("permitted", "up");
  assert.ok(await lingers("permitted"));
  await loggedOut("permitted");
  assert.ok(await answers("permitted"));
  await good("permitted", "stop");
  assert.ok(!(await lingers("permitted")));
  assert.deepEqual(units("permitted"), []);
  await good("permitted", "start");
  assert.ok(await lingers("permitted"));
  assert.ok(await answers("permitted"));
  await good("permitted", "destroy");
  assert.ok(!(await lingers("permitted")));
  assert.deepEqual(units("permitted"), []);
  assert.deepEqual(await processes("permitted"), []);
});

machineTest(
  "a user who may not: a supervisor of its own that outlives the session; after a restart `start` brings it back",
  async () => {
    const rule = 'polkit.addRule(function (action, subject) { if (subject.user == "refused") return polkit.Result.NO; });';
    const write = `printf %s '${rule}' > /etc/polkit-1/rules.d/00-refused.rules && systemctl restart polkit`;
    assert.equal((await vm.run(["sh", "-c", write])).code, 0);
    await good("refused", "up");
    assert.deepEqual(units("refused"), []);
    assert.ok(!(await lingers("refused")));
    await loggedOut("refused");
    assert.ok(await answers("refused"));
    const before = await status("refused");
    await killed("refused", before.gatewayPid, before.gatewayPid);

    await vm.shutDown();
    await vm.boot();
    const off = await operate("refused", "status");
    assert.equal(off.code, 1);
    assert.match(off.text, /the machine was restarted.*npm run start/);
    await good("refused", "start");
    assert.ok(await answers("refused"));
    await good("refused", "destroy");
    assert.deepEqual(await processes("refused"), []);
  },
);
