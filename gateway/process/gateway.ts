// Runs the gateway until it is told to stop: start, reloads, drain. Returns the exit code.
import { mkdirSync } from "node:fs";
import { type App, createApp, logFormat } from "../app.ts";
import { ConfigError } from "../config/faults.ts";
import { type Loaded, type LoadOptions, loadConfig } from "../config/load.ts";
import { listenHost } from "../config/rules.ts";
import { createWatcher } from "../config/watch.ts";
import { exitCodes, messageOf, systemCode } from "../errors.ts";
import { createLog, type Log } from "../observability/log.ts";
import { ListenProblem, listen, listenWhenFree } from "./listen.ts";
import { trimAfterStart } from "./memory.ts";

export interface GatewayOptions extends LoadOptions {
  readonly version: string;
}

export async function runGateway(options: GatewayOptions): Promise<number> {
  const log = createLog((line) => process.stdout.write(line));
  let loaded: Loaded;
  try {
    loaded = await loadConfig(options);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return exitCodes.config;
  }
  log.configure({ level: loaded.config.logging.level, format: logFormat(loaded), redact: loaded.secrets.redact });
  try {
    mkdirSync(loaded.stateDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    process.stderr.write(
      `The state folder ${loaded.stateDir} cannot be made (${systemCode(error)}). Make it writable, or set OPENCLAW_STATE_DIR.\n`,
    );
    return exitCodes.stateNotWritable;
  }
  const app = await createApp(loaded, { log, version: options.version });
  return serve(app, loaded, options, log);
}

async function serve(app: App, loaded: Loaded, options: GatewayOptions, log: Log): Promise<number> {
  const done = Promise.withResolvers<number>();
  catchFatal(log, () => process.exit(exitCodes.internal));
  // Until the files are watched a reload reads them alone.
  let load = (): Promise<Loaded> => loadConfig(options);
  const link = await supervisorLink(app, options, () => load());
  try {
    const { port } = loaded.config.gateway;
    await listen(
      app.server,
      link?.listenDescriptor === undefined ? { host: listenHost(loaded.config), port } : { fd: link.listenDescriptor },
    );
    if (app.operations) {
      const where = { host: loaded.stack.metrics.host, port: loaded.stack.metrics.port ?? 0 };
      // Under a supervisor the gateway that this one replaces has the port until it drains, which begins when this one is ready.
      if (link) listenWhenFree(app.operations, where).catch((error: unknown) => log.error("metrics_port", messageOf(error)));
      else await listen(app.operations, where);
    }
  } catch (error) {
    if (!(error instanceof ListenProblem)) throw error;
    process.stderr.write(`${error.message}\n`);
    await app.close();
    return exitCodes.cannotListen;
  }
  app.lifecycle.started();
  const watcher = startWatching(app, loaded, options, log);
  if (watcher) load = watcher.load;
  announce(app, loaded, options, log);
  link?.ready();
  trimAfterStart(() => app.lifecycle.active === 0);
  app.context
    .runtime()
    .health.check()
    .catch(() => undefined);

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      watcher?.close();
      link?.draining();
      drain(app, log, signal).then(done.resolve, done.reject);
    });
  }
  const code = await done.promise;
  // What is still open (idle sockets, timers of others) does not hold the process.
  process.exit(code);
}

function announce(app: App, loaded: Loaded, options: GatewayOptions, log: Log): void {
  for (const note of loaded.notes) log.of("config").warn("config_note", note);
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

/** Config and secrets are followed together: a changed secret file alone changes no setting. */
function startWatching(app: App, loaded: Loaded, options: GatewayOptions, log: Log) {
  const { mode, debounceMs } = loaded.config.gateway.reload;
  if (mode === "off") return undefined;
  const onProblem = (message: string): void => log.of("config").warn("watch_failed", message);
  const configWatcher = createWatcher({ debounceMs, onProblem, onChange: () => void app.reload(load) });
  const secretWatcher = createWatcher({ debounceMs, onProblem, onChange: () => void app.reloadSecrets() });
  async function load(): Promise<Loaded> {
    const next = await loadConfig(options);
    configWatcher.follow(next.files);
    secretWatcher.follow(next.secrets.files());
    return next;
  }
  configWatcher.follow(loaded.files);
  secretWatcher.follow(loaded.secrets.files());
  return {
    load,
    close() {
      configWatcher.close();
      secretWatcher.close();
    },
  };
}

async function supervisorLink(app: App, options: GatewayOptions, load: () => Promise<Loaded>) {
  if (!options.env.OPENCLAW_SUPERVISOR_DIRECTORY) return undefined;
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

async function drain(app: App, log: Log, signal: string): Promise<number> {
  const { delayMs, timeoutMs } = app.context.runtime().stack.drain;
  app.context.metrics.draining.set(1);
  log.info("drain_started", `${signal}: the gateway stops; ${app.lifecycle.active} requests are under way`);
  const servers = [app.server.server, ...(app.operations ? [app.operations.server] : [])];
  const finished = await app.lifecycle.drain({
    delayMs,
    timeoutMs,
    onRefusing() {
      for (const server of servers) {
        server.close();
        server.closeIdleConnections();
      }
    },
  });
  if (!finished) log.warn("drain_deadline", `${app.lifecycle.active} requests were cut after ${timeoutMs} ms`);
  for (const server of servers) server.closeAllConnections();
  log.info("gateway_stopped", "The gateway has stopped");
  return exitCodes.ok;
}

/** An error that nobody caught leaves an unknown state: it is logged, and the supervisor starts a fresh process. */
function catchFatal(log: Log, end: () => void): void {
  const fatal = (error: unknown): void => {
    log.error("uncaught", error instanceof Error ? (error.stack ?? error.message) : messageOf(error));
    end();
  };
  process.on("uncaughtException", fatal);
  process.on("unhandledRejection", fatal);
}
