/**
 * The engine is killed, and separately the connection to the server is cut, wherever the first update of the target `vm` can be
 * disturbed: the updates that follow end in the server that an undisturbed one makes.
 */
import assert from "node:assert/strict";
import { globSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type CuttableWay, startCuttableWay } from "../support/cuttable-way.ts";
import { holdAnswers, prepareHolding } from "../support/held-answers.ts";
import { createInterruptedUps, type InterruptedUps } from "../support/interrupted-up.ts";
import { type LocalClone, makeClone } from "../support/local-clone.ts";
import { type Machine, startMachine, whyNoMachine } from "../support/machine.ts";
import { makeNetwork, type Network } from "../support/network.ts";
import { isRunning } from "../support/processes.ts";
import { differencesOf, type Own } from "../support/same-servers.ts";
import { writeSections } from "../support/stack-file.ts";

const why = whyNoMachine();
if (why !== undefined) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${why}`);

/** Otherwise a kind of command is cut once, and of files that are put one after the other the first ones stand for all. */
const each = process.env.OPENCLAW_ALL_BOUNDARIES === "1";
const furtherFiles = [
  "/etc/nginx/nginx.conf",
  "/etc/nginx/modules-enabled/90-openclaw.conf",
  "/etc/nginx/conf.d/openclaw.conf",
  "/etc/systemd/system/openclaw-proxy-reload.path",
];

/** So much of the release has been sent when the copy is disturbed in its middle. */
const partOfRelease = 4_000_000;

const own: Own = [
  [/^\/home\/admin\/\.ssh\//, "each has a key of its own"],
  [
    /^\/var\/lib\/openclaw-host\/(files\/|wanted-packages$)/,
    "how often something was put back; the rest is compared beside this",
  ],
  [/^\/var\/lib\/logrotate\/openclaw\.status$/, "there once an hour has passed"],
];

let network: Network;
let way: CuttableWay;
let clone: LocalClone;
let disturbed: Machine;
let calm: Machine;

before(async () => {
  if (why !== undefined) return;
  network = makeNetwork();
  clone = makeClone("vm-boundaries");
  const prepare = (root: string): void => prepareHolding(root, "admin");
  const start = (name: string): Promise<Machine> => startMachine(name, { network, login: "sudo", prepare });
  [disturbed, calm] = await Promise.all([start("disturbed"), start("calm")]);
  way = await startCuttableWay(disturbed.address4, disturbed.sshPort);
});
after(async () => {
  await way?.close();
  await Promise.all([disturbed?.stop(), calm?.stop()]);
  network?.remove();
  await clone?.remove();
});

async function makeStack(name: string, machine: Machine, at: { host: string; port: number }): Promise<InterruptedUps> {
  const operate = async (args: string[], input?: string): Promise<void> => {
    const { code, text } = await clone.operate([...args, "-s", name], input === undefined ? {} : { input });
    assert.equal(code, 0, text);
  };
  await operate(["stack", "init", name]);
  writeSections(join(clone.directory, `stacks/Pulumi.${name}.yaml`), {
    target: "vm",
    vm: { ...at, user: machine.user, hostKey: machine.hostKey, identity: { file: machine.key.file } },
    proxy: { names: ["ai.example.test"] },
    models: { providers: { none: { baseUrl: "http://192.0.2.1:9/v1", models: ["none"] } } },
  });
  await operate(["config", "set", "--secret", "gatewayToken"], "a-token-that-stays-the-same-0123456789");
  await operate(["config", "set", "--secret", "apiKey-none"], "a-key-that-stays-the-same");
  const known = each
    ? []
    : furtherFiles.flatMap((path) => ["creating", "made"].map((kind) => `${kind} command:remote:Command::${path}`));
  return createInterruptedUps(clone, name, known);
}

/** The archive that is sent, as it lies here. */
function archiveHere(): { name: string; size: number } {
  const [file = ""] = globSync(join(clone.home, ".local/share/openclaw-stack/*/releases/release-*/*.tar.gz"));
  return { name: file.slice(file.lastIndexOf("/") + 1), size: statSync(file).size };
}

/** What arrives is whole, but nobody here comes to know; false where the engine was gone before. */
async function cutOnceComplete(ended: AbortSignal): Promise<boolean> {
  way.holdAnswers();
  const { name, size } = archiveHere();
  const there = disturbed.file(`/home/admin/.openclaw-release-${name}`);
  while (statSync(there, { throwIfNoEntry: false })?.size !== size) {
    if (ended.aborted) return false;
    await pause(20);
  }
  way.cut();
  return true;
}

test("killed and cut at every boundary of every operation", { skip: why, timeout: 1_500_000 }, async (context) => {
  const stacks = await Promise.all([
    makeStack("disturbed", disturbed, { host: "127.0.0.1", port: way.port }),
    makeStack("calm", calm, { host: calm.address4, port: calm.sshPort }),
  ]);
  const [ups, calmUps] = stacks;
  const reference = calmUps.up();
  // Told when it is waited for.
  reference.catch(() => {});
  const held = await holdAnswers(disturbed, each);
  const killed: string[] = [];
  const cut: string[] = [];
  const inCopy: string[] = [];
  const began = performance.now();
  let run = 0;
  for (; ; run++) {
    let pid = 0;
    const ended = new AbortController();
    const copies = inCopy.length;
    let complete: Promise<boolean> | undefined;
    if (copies < 2) {
      way.onceSent(partOfRelease, () => {
        // What an engine that is no more has sent may arrive after it.
        if (!isRunning(pid)) return;
        inCopy.push(copies === 0 ? "cut in its middle" : "killed in its middle");
        if (copies === 0) way.cut();
        else process.kill(pid, "SIGKILL");
      });
    } else if (copies === 2) {
      way.onceSent(archiveHere().size, () => {
        complete = cutOnceComplete(ended.signal);
      });
    }
    const watching = held.watch(way.cut, ended.signal);
    const { outcome, boundaries } = await ups.killedUp((started) => {
      pid = started;
    });
    ended.abort();
    if (await complete) inCopy.push("answer lost");
    const now = await watching;
    killed.push(...boundaries);
    cut.push(...now);
    if (outcome.code === 0) break;
    assert.ok(boundaries.length + now.length + inCopy.length > copies, outcome.text);
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  context.diagnostic(
    `${run} updates in ${seconds} s: killed at ${killed.length} boundaries, cut at ${cut.length}, a copy ${inCopy.join()}`,
  );
  assert.equal(inCopy.length, 3, inCopy.join());

  const { code, text: said } = await reference;
  assert.equal(code, 0, said);
  const { resources } = calmUps.state();
  const last = ups.state();
  assert.deepEqual(last.pending, []);
  const named = (urns: string[]): string[] => urns.map((urn) => urn.replaceAll(/urn:pulumi:calm::|-calm$/g, "")).sort();
  assert.deepEqual(
    last.resources.map((urn) => urn.replaceAll(/urn:pulumi:disturbed::|-disturbed$/g, "")).sort(),
    named(resources),
  );
  const commands = resources.filter((urn) => /command:remote:/.test(urn)).length;
  for (const kind of ["made", "creating"])
    assert.equal(
      new Set(killed.filter((line) => line.startsWith(`${kind} command:remote:`))).size,
      commands - (each ? 0 : furtherFiles.length),
      killed.join("\n"),
    );
  const kinds = ["activate", "agent", "copy", "packages", "put", "release", "secrets", "self-signed", "settle", "user"];
  const cutAt = (how: string): string[] =>
    [...new Set(cut)]
      .filter((kind) => kind.endsWith(how))
      .map((kind) => kind.slice(0, -how.length))
      .sort();
  const begun = cutAt(": not begun");
  assert.deepEqual([...new Set(begun.map((kind) => kind.split(" ")[0]))], kinds);
  // That of the copy is among those in it.
  assert.deepEqual(
    cutAt(": answer lost"),
    begun.filter((kind) => kind !== "copy"),
  );
  if (each) assert.equal(begun.length, commands, cut.join("\n"));

  await held.disarm();
  const { text } = await ups.up();
  assert.match(text, /^ {4}\d+ unchanged$/m);
  assert.doesNotMatch(text, /created|updated|replaced|deleted|pending/);
  assert.deepEqual(await differencesOf(calm, disturbed, own), []);
  assert.equal((await disturbed.run("systemctl --failed --no-legend")).stdout.trim(), "");
});
