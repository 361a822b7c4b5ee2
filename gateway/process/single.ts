// The gateway as one process: it listens, follows its files, and drains.
import { type App, createApp } from "../app.ts";
import type { Loaded } from "../config/load.ts";
import { loadConfig } from "../config/load.ts";
import { listenHost } from "../config/rules.ts";
import { exitCodes, messageOf } from "../errors.ts";
import type { Log } from "../observability/log.ts";
import { drainServer, trackConnections } from "./drain.ts";
import type { GatewayOptions } from "./gateway.ts";
import { ListenProblem, listen, listenWhenFree } from "./listen.ts";
import { trimAfterStart } from "./memory.ts";
import { tellServiceManager } from "./service-manager.ts";
import { onStop } from "./signals.ts";
import { watchFiles } from "./watch-files.ts";

export async function runSingle(loaded: Loaded, options: GatewayOptions, log: Log): Promise<number> {
  const app = await createApp(loaded, { log, version: options.version });
  const connections = trackConnections(app.server.server);
  process.once("exit", () => app.rescue());
  let load = (): Promise<Loaded> => loadConfig(options);
  const link = await supervisorLink(app, options, () => load());
  try {
    const { port } = loaded.config.gateway;
    await listen(
      app.server,
      link?.listenDescriptor === undefined ? { host: listenHost(loaded.config), port } : { fd: link.listenDescriptor },
    );
    // Under a supervisor the gateway that this one replaces has the port until it drains, which begins when this one is ready.
    await listenForOperations(app, loaded, link !== undefined, log);
  } catch (error) {
    if (!(error instanceof ListenProblem)) throw error;
    process.stderr.write(`${error.message}\n`);
    await app.close();
    return exitCodes.cannotListen;
  }
  app.lifecycle.started();
  const watcher = watchFiles(loaded, {
    log,
    load: () => loadConfig(options),
    onConfig: () => void app.reload(load),
    onSecrets: () => void app.reloadSecrets(),
  });
  load = watcher.load;
  announce(app, loaded, options, log);
  link?.ready();
  const manager = tellServiceManager(options.env, log);
  manager.ready();
  trimAfterStart(() => app.lifecycle.active === 0);
  app.context
    .runtime()
    .health.check()
    .catch(() => undefined);

  const signal = await onStop(() => {
    watcher.close();
    link?.draining();
    app.lifecycle.draining();
  });
  manager.stopping();
  app.context.metrics.draining.set(1);
  log.info("drain_started", `${signal}: the gateway stops; ${app.lifecycle.active} requests are under way`);
  await drainApp(app, connections, link?.replaced() ?? false, log);
  await app.finish();
  log.info("gateway_stopped", "The gateway has stopped");
  // What is still open (idle sockets, timers of others) does not hold the process.
  process.exit(exitCodes.ok);
}

/** Serves, then finishes, then cuts: as `drain` says. */
export async function drainApp(
  app: App,
  connections: ReturnType<typeof trackConnections>,
  handOver: boolean,
  log: Log,
): Promise<void> {
  const { delayMs, timeoutMs } = app.context.runtime().stack.drain;
  const cut = await drainServer(app.server.server, connections, app.lifecycle, { delayMs, timeoutMs, handOver });
  if (cut > 0) log.warn("drain_deadline", `${cut} requests were cut after ${timeoutMs} ms`);
  app.operations?.server.close();
  app.operations?.server.closeAllConnections();
  await app.finish();
}

/** The port of metrics and health, where there is one. `wait`: another process may still have it. */
export async function listenForOperations(app: App, loaded: Loaded, wait: boolean, log: Log): Promise<void> {
  if (!app.operations) return;
  const where = { host: loaded.stack.metrics.host, port: loaded.stack.metrics.port ?? 0 };
  if (wait) listenWhenFree(app.operations, where).catch((error: unknown) => log.error("metrics_port", messageOf(error)));
  else await listen(app.operations, where);
}

function announce(app: App, loaded: Loaded, options: GatewayOptions, log: Log): void {
  const { demo, providers } = app.context.runtime();
  const who = demo ? "the demonstration only" : providers.map((provider) => provider.id).join(", ");
  const address = app.server.server.address();
  const port = typeof address === "object" && address ? address.port : loaded.config.gateway.port;
  log.info("gateway_ready", `The gateway listens on ${listenHost(loaded.config)}:${port}; models: ${who}`, {
    port,
    pid: process.pid,
    version: options.version,
    config_hash: loaded.hash,
    duration_ms: Math.round(performance.now()),
  });
}

async function supervisorLink(app: App, options: GatewayOptions, load: () => Promise<Loaded>) {
  const { env } = options;
  if (!env.OPENCLAW_SUPERVISOR_DIRECTORY && env.LISTEN_FDS !== "1") return undefined;
  const { linkToSupervisor } = await import("./supervisor-link.ts");
  return linkToSupervisor({
    async reload() {
      await app.reloadSecrets();
      const state = await app.reload(load);
      const message = state.message === undefined ? {} : { message: state.message };
      return { ok: state.result !== "invalid", ...message, restartNeededFor: [...app.context.pendingRestart()] };
    },
  });
}
