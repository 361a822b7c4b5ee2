// One worker: serves on the socket that it inherited, with the config that the primary read; drains when the primary says so or is gone.
import { createApp } from "../app.ts";
import { ConfigError } from "../config/faults.ts";
import { loadConfig } from "../config/load.ts";
import { exitCodes } from "../errors.ts";
import type { Log } from "../observability/log.ts";
import { trackConnections } from "./drain.ts";
import { configureLog, type GatewayOptions } from "./gateway.ts";
import { ListenProblem, listen } from "./listen.ts";
import { trimAfterStart } from "./memory.ts";
import { onStop } from "./signals.ts";
import { drainApp, listenForOperations } from "./single.ts";
import { linkToPrimary } from "./worker-carriers.ts";
import {
  configCall,
  drainNote,
  type GatewayState,
  initCall,
  type ReloadReport,
  readyNote,
  secretsCall,
  stateNote,
} from "./worker-messages.ts";
import { shareMetrics } from "./worker-metrics.ts";
import { sharedOverLink } from "./worker-shared.ts";

/** Where the primary put the listening socket. */
export const socketDescriptor = 3;
const initMs = 30_000;

export async function runWorker(options: GatewayOptions, log: Log): Promise<number> {
  const link = linkToPrimary();
  const begin = await link.call(initCall, {}, initMs).catch(() => undefined);
  // A primary that is gone needs no worker.
  if (!begin) return exitCodes.internal;
  const { index, read, servesOperations, waitForPort } = begin;
  const loaded = await loadConfig({ ...options, read });
  configureLog(log, loaded);
  let gateway: GatewayState = { started: false, workers: [], degraded: [], detail: {} };
  const app = await createApp(loaded, {
    log,
    version: options.version,
    operations: servesOperations,
    allFigures: (own) => shareMetrics(link, own),
    shared: sharedOverLink(link, loaded, log),
    readiness: [
      {
        degraded: () => [...(gateway.workers.some(({ state }) => state !== "ready") ? ["workers"] : []), ...gateway.degraded],
        detail: () => ({ ...gateway.detail, worker: index, workers: gateway.workers }),
      },
    ],
  });
  process.once("exit", () => app.rescue());
  const connections = trackConnections(app.server.server);
  link.on(stateNote, (state) => {
    gateway = state;
    // Until all were ready once the gateway is starting, whoever is asked.
    if (state.started) app.lifecycle.started();
  });
  link.answer(secretsCall, async () => {
    await app.reloadSecrets();
    return {};
  });
  link.answer(configCall, async (change): Promise<ReloadReport> => {
    const { result, message } = await app.reload(async () => {
      if (change.kind === "refused") throw new ConfigError(change.path, change.faults, change.hash);
      return loadConfig({ ...options, read: change.read });
    });
    return { result, ...(message === undefined ? {} : { message }), restartNeededFor: [...app.context.pendingRestart()] };
  });

  // The primary says when; without it there is nobody who could replace or stop this process.
  const told = Promise.withResolvers<{ signal: string; handOver: boolean }>();
  link.on(drainNote, told.resolve);
  link.onClose(() => told.resolve({ signal: "primary_gone", handOver: true }));
  onStop(() => app.lifecycle.draining()).then((signal) => told.resolve({ signal, handOver: false }), told.reject);

  try {
    await listen(app.server, { fd: socketDescriptor });
    await listenForOperations(app, loaded, waitForPort, log);
  } catch (error) {
    if (!(error instanceof ListenProblem)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(exitCodes.cannotListen);
  }
  link.tell(readyNote, {});
  trimAfterStart(() => app.lifecycle.active === 0);
  app.context
    .runtime()
    .health.check()
    .catch(() => undefined);

  const { signal, handOver } = await told.promise;
  app.lifecycle.draining();
  app.context.metrics.draining.set(1);
  if (signal === "primary_gone") log.error("primary_gone", "The primary is gone: this worker finishes what it has and ends");
  await drainApp(app, connections, handOver, log);
  await app.finish();
  process.exit(exitCodes.ok);
}
