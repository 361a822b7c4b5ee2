/**
 * The supervisor's command line: `supervisor-control.ts <directory> apply|start|stop|status|remove|remove-but-data`.
 * `apply` reads the specification (JSON) from stdin and brings the gateway to it: started, reloaded, or replaced without a gap.
 */
import { existsSync, mkdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { askSupervisor, startSupervisor } from "./supervisor-client.ts";
import { ProcessSpec, readSpec, type SupervisorReply, supervisorFiles, writeSpec } from "./supervisor-files.ts";
import { isAlive, processStartTime, readHolder } from "./supervisor-lock.ts";
import { lastLines } from "./supervisor-log.ts";
import { removeUnit } from "./supervisor-systemd.ts";

const [directory = ".", command] = process.argv.slice(2);
const files = supervisorFiles(directory);

const commands: { [name: string]: () => Promise<void> } = {
  apply,
  start,
  stop,
  status,
  remove: () => remove({ keepData: false }),
  "remove-but-data": () => remove({ keepData: true }),
};
const chosen = commands[command ?? ""];
try {
  if (!chosen) throw new Error(`usage: supervisor-control.ts <directory> ${Object.keys(commands).join("|")}`);
  await chosen();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}

async function apply(): Promise<void> {
  const spec = ProcessSpec.parse(JSON.parse(await text(process.stdin)));
  const running = await askSupervisor(files, { command: "status" });
  if (!running) {
    await startWith(spec, "started");
    return;
  }
  const before = readSpec(files);
  const same = JSON.stringify(before) === JSON.stringify(spec);
  if (same && running.status.phase === "ready") {
    const reloaded = await askSupervisor(files, { command: "reload" });
    if (!reloaded?.ok) throw new Error(`the gateway did not take the change: ${reloaded?.message ?? "no answer"}`);
    const needed = reloaded.restartNeededFor ?? [];
    if (needed.length === 0) {
      console.log("gateway: reloaded without a restart");
      return;
    }
    await restart(before, spec, `replaced, because of ${needed.join(", ")}`);
    return;
  }
  await restart(before, spec, whatChanged(before, spec));
}

async function restart(before: ProcessSpec, spec: ProcessSpec, how: string): Promise<void> {
  writeSpec(files, spec);
  const began = Date.now();
  const reply = await askSupervisor(files, { command: "restart" });
  if (!reply?.ok) {
    writeSpec(files, before);
    throw new Error(reply?.message ?? "the supervisor ended during the restart");
  }
  await checkReady(reply);
  console.log(`gateway: ${how} (pid ${reply.status.gatewayPid}, ${Date.now() - began} ms)`);
}

async function startWith(spec: ProcessSpec, how: string): Promise<void> {
  const began = Date.now();
  await startSupervisorWith(spec);
  const reply = await askSupervisor(files, { command: "await-ready" });
  if (!reply?.ok) {
    // Nothing is left running behind an error.
    await askSupervisor(files, { command: "stop" });
    await removeUnit(files);
    throw new Error(reply?.message ?? "the supervisor ended while the gateway started");
  }
  await checkReady(reply);
  console.log(`gateway: ${how} (pid ${reply.status.gatewayPid}, ${Date.now() - began} ms)`);
}

async function startSupervisorWith(spec: ProcessSpec): Promise<void> {
  mkdirSync(files.runDirectory, { recursive: true, mode: 0o700 });
  writeSpec(files, spec);
  await startSupervisor(files, spec.node);
}

async function start(): Promise<void> {
  if (!existsSync(files.spec)) throw new Error("nothing is deployed here yet: run `npm run up` first");
  const running = await askSupervisor(files, { command: "status" });
  if (running?.status.phase === "ready") {
    console.log(`gateway: runs already (pid ${running.status.gatewayPid})`);
    return;
  }
  if (running?.status.phase === "starting") {
    // Somebody else has just asked for the same.
    const reply = await askSupervisor(files, { command: "await-ready" });
    if (!reply?.ok) throw new Error(reply?.message ?? "the supervisor ended while the gateway started");
    await checkReady(reply);
    console.log(`gateway: runs already (pid ${reply.status.gatewayPid})`);
    return;
  }
  const spec = readSpec(files);
  if (running) await restart(spec, spec, "started again");
  else await startWith(spec, "started");
}

async function stop(): Promise<void> {
  const holder = readHolder(files.lock);
  const reply = await askSupervisor(files, { command: "stop" });
  if (!holder) {
    await removeUnit(files);
    console.log("gateway: was not running");
    return;
  }
  if (!reply) process.kill(holder.pid, "SIGTERM");
  // Until the process is gone its files are not ours to remove.
  while (isAlive(holder)) await new Promise((resolve) => setTimeout(resolve, 20));
  await removeUnit(files);
  console.log("gateway: stopped");
}

async function remove(options: { keepData: boolean }): Promise<void> {
  await stop();
  for (const name of ["run", "logs", ...(options.keepData ? [] : ["data"])]) {
    rmSync(join(directory, name), { recursive: true, force: true });
  }
  try {
    rmdirSync(directory);
  } catch {
    // Something is left in it: kept data, or files whose turn comes next.
  }
}

async function status(): Promise<void> {
  const reply = await askSupervisor(files, { command: "status" });
  console.log(JSON.stringify(reply?.status ?? { phase: existsSync(files.spec) ? "stopped" : "absent" }));
}

/** The gateway says itself that it is ready to serve; a port that another process answers on would not. */
async function checkReady(reply: SupervisorReply): Promise<void> {
  const { host, port, gatewayPid } = reply.status;
  const address = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : host.includes(":") ? `[${host}]` : host;
  const until = Date.now() + 15_000;
  let last = "";
  while (Date.now() < until) {
    try {
      const response = await fetch(`http://${address}:${port}/readyz`, { signal: AbortSignal.timeout(2000) });
      if (response.ok) return;
      last = await response.text();
    } catch (error) {
      last = String(error);
    }
    if (gatewayPid && processStartTime(gatewayPid) === undefined) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the gateway runs but is not ready: ${last}\n${lastLines(files.log, 10).join("\n")}`);
}

function whatChanged(before: ProcessSpec, spec: ProcessSpec): string {
  if (before.port !== spec.port || before.host !== spec.host) return `replaced on ${spec.host}:${spec.port}`;
  if (before.release !== spec.release) return "replaced by the new release";
  return "replaced";
}
