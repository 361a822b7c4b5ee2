// The primary of several workers: holds the listening socket, reads the files, keeps the workers running; serves no request itself.
import { closeSync } from "node:fs";
import type { Loaded } from "../config/load.ts";
import { listenHost } from "../config/rules.ts";
import { exitCodes, messageOf } from "../errors.ts";
import { createMemoryAnswers } from "../models/cache/memory.ts";
import type { Log } from "../observability/log.ts";
import { createPrimaryMetrics } from "../observability/metrics.ts";
import { createShared } from "../shared.ts";
import type { GatewayOptions } from "./gateway.ts";
import { ListenProblem, problemAt } from "./listen.ts";
import { trimAfterStart } from "./memory.ts";
import { shareConfig } from "./primary-config.ts";
import { tellServiceManager } from "./service-manager.ts";
import { onStop } from "./signals.ts";
import { type Listener, openListener } from "./supervisor-listener.ts";
import { serveAnswers } from "./worker-answers.ts";
import { createHub } from "./worker-link.ts";
import { drainNote, initCall, type ReloadReport, stateNote, type WorkersState } from "./worker-messages.ts";
import { collectMetrics } from "./worker-metrics.ts";
import { leaseMs, serveShared } from "./worker-shared.ts";
import { runWorkers } from "./workers.ts";

/** Beside the drain's own times: for the last words of what was cut, and the ends of the processes. */
const endMs = 3000;
const stateMs = 1000;

export async function runPrimary(count: number, loaded: Loaded, options: GatewayOptions, log: Log): Promise<number> {
  const hub = createHub();
  const config = shareConfig(loaded, options, {
    log,
    hub,
    readyWorkers: () => workers.state().workers.flatMap(({ index, state }) => (state === "ready" ? [index] : [])),
  });
  const link = await supervisorLink(options, config.reload);
  const manager = tellServiceManager(options.env, log);
  const socket = await openSocket(loaded, link?.listenDescriptor);
  if (socket instanceof ListenProblem) {
    process.stderr.write(`${socket.message}\n`);
    return exitCodes.cannotListen;
  }
  const metrics = createPrimaryMetrics();
  collectMetrics(hub, metrics.registry);
  const shared = createShared({
    stateDir: loaded.stateDir,
    stack: () => config.current().stack,
    reveal: loaded.secrets.reveal,
    metrics,
    log,
    version: options.version,
    leaseMs,
  });
  serveShared(hub, shared);
  const { keptBytes: bytes, keptEntries: entries, evictions } = metrics;
  serveAnswers(hub, createMemoryAnswers("idempotency", { bytes, entries, evictions }));
  process.once("exit", () => shared.rescue());
  let firstRound = true;
  hub.answer(initCall, (_, worker) => ({
    index: worker,
    read: config.beginWith(worker),
    servesOperations: worker === 0,
    waitForPort: link !== undefined || !firstRound,
  }));
  /** Also from time to time: what the readiness of the primary's own parts says may change at any moment. */
  function tellState(state: WorkersState): void {
    const { degraded, detail } = shared.readiness;
    hub.tell(stateNote, { ...state, started: !firstRound, degraded: [...(degraded?.() ?? [])], detail: { ...detail?.() } });
  }
  const workers = runWorkers({
    count,
    descriptor: socket.descriptor,
    log,
    hub,
    onChange(state) {
      tellState(state);
      for (const name of ["starting", "ready", "waiting"] as const)
        metrics.workers.set(state.workers.filter((worker) => worker.state === name).length, name);
    },
    onCrash: () => metrics.workerCrashes.add(),
    onReady: (worker) => config.catchUp(worker),
  });
  setInterval(() => tellState(workers.state()), stateMs).unref();
  let stopping = false;
  const stopped = onStop(
    () => {
      stopping = true;
      config.close();
      link?.draining();
      workers.stopping();
      // The next gateway may be the writer from now on; what the workers' last requests used is left for it.
      shared.release().catch((error: unknown) => log.of("state").error("state_release_failed", messageOf(error)));
    },
    () => workers.killAll(),
  );
  const failed = await workers.started;
  if (failed !== undefined && !stopping) {
    workers.killAll();
    return failed;
  }
  firstRound = false;
  shared.begin();
  tellState(workers.state());
  if (!stopping) {
    config.follow();
    log.info("gateway_ready", `The gateway listens on ${listenHost(loaded.config)}:${socket.port} with ${count} workers`, {
      port: socket.port,
      pid: process.pid,
      version: options.version,
      config_hash: loaded.hash,
      duration_ms: Math.round(performance.now()),
    });
    link?.ready();
    manager.ready();
    trimAfterStart(() => true);
  }

  const signal = await stopped;
  manager.stopping();
  const { delayMs, timeoutMs } = config.current().stack.drain;
  const handOver = link?.replaced() ?? false;
  log.info("drain_started", `${signal}: the gateway and its ${count} workers stop`);
  hub.tell(drainNote, { signal, handOver });
  // With the last descriptor gone the kernel refuses connections, instead of queueing them for nobody.
  setTimeout(() => socket.close(), handOver ? 0 : delayMs);
  await workers.gone(delayMs + timeoutMs + endMs);
  await shared.finish();
  log.info("gateway_stopped", "The gateway has stopped");
  process.exit(exitCodes.ok);
}

/** Bound, but not accepted on here. */
async function openSocket(loaded: Loaded, inherited: number | undefined): Promise<Listener | ListenProblem> {
  const where = { host: listenHost(loaded.config), port: loaded.config.gateway.port };
  if (inherited !== undefined) return { ...where, descriptor: inherited, close: () => closeSync(inherited) };
  try {
    return await openListener(where.host, where.port);
  } catch (error) {
    const problem = problemAt(where, error);
    if (problem instanceof ListenProblem) return problem;
    throw problem;
  }
}

async function supervisorLink(options: GatewayOptions, reload: () => Promise<ReloadReport>) {
  const { env } = options;
  if (!env.OPENCLAW_SUPERVISOR_DIRECTORY && env.LISTEN_FDS !== "1") return undefined;
  const { linkToSupervisor } = await import("./supervisor-link.ts");
  return linkToSupervisor({
    async reload() {
      const { result, message, restartNeededFor } = await reload();
      return { ok: result !== "invalid", ...(message === undefined ? {} : { message }), restartNeededFor };
    },
  });
}
