/**
 * Keeps one gateway running: restarts it after a crash with backoff, puts a new one in its place without a refused
 * connection, and obeys the requests of `supervisor-control.ts`.
 */
import { type GatewayChild, type GatewayExit, startGateway } from "./supervisor-child.ts";
import {
  configErrorExitCode,
  type ProcessSpec,
  readSpec,
  type SupervisorFiles,
  type SupervisorReply,
  type SupervisorRequest,
  type SupervisorStatus,
} from "./supervisor-files.ts";
import { type Listener, openListener } from "./supervisor-listener.ts";
import { lastLines, type SupervisorLog } from "./supervisor-log.ts";

/** The first restart is immediate; then the delays double up to a bound. */
const backoffMs = [0, 500, 1000, 2000, 4000, 8000, 16_000, 30_000];
/** A gateway that ran this long starts the backoff anew. */
const steadyAfterMs = 60_000;
const readyTimeoutMs = 30_000;

export interface Supervisor {
  handle(request: SupervisorRequest): Promise<SupervisorReply>;
  /** Drains and ends the gateway; resolves when it is gone. */
  stop(): Promise<void>;
  /** Resolves after a stop. */
  stopped: Promise<void>;
}

export interface SupervisorDeps {
  files: SupervisorFiles;
  log: SupervisorLog;
  /** Of a supervisor that was killed. */
  adopted?: { gateway: GatewayChild; listener: Listener };
}

export function createSupervisor(deps: SupervisorDeps): Supervisor {
  const { files, log } = deps;
  let spec: ProcessSpec = readSpec(files);
  let listener: Listener | undefined = deps.adopted?.listener;
  let current: GatewayChild | undefined;
  let phase: SupervisorStatus["phase"] = "starting";
  let crashes = 0;
  let lastExit: string | undefined;
  let attempt = 0;
  let retry: NodeJS.Timeout | undefined;
  let settled = Promise.withResolvers<void>();
  let isSettled = false;
  const draining = new Set<GatewayChild>();
  const end = Promise.withResolvers<void>();
  // Restarts, reloads and stops come one after the other.
  let queue: Promise<unknown> = Promise.resolve();
  const rotation = setInterval(() => log.rotateIfLarge(spec.maxLogBytes, spec.keptLogs), 5000);
  rotation.unref();

  function setPhase(next: SupervisorStatus["phase"]): void {
    phase = next;
    if (next !== "starting") settled.resolve();
    // Whoever waits for the first try waits for the second one too.
    else if (isSettled) settled = Promise.withResolvers();
    isSettled = next !== "starting";
  }

  function status(): SupervisorStatus {
    return {
      phase,
      supervisorPid: process.pid,
      gatewayPid: current?.pid,
      gatewayStartedAt: current?.startedAt.toISOString(),
      crashes,
      lastExit,
      host: listener?.host ?? spec.host,
      port: listener?.port ?? spec.port,
      release: spec.release,
    };
  }

  /** Resolves to why the gateway is not ready, or undefined when it is. */
  async function becomesReady(child: GatewayChild): Promise<string | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`was not ready within ${readyTimeoutMs / 1000} s`), readyTimeoutMs);
    });
    const why = await Promise.race([child.ready.then(() => undefined), child.exited.then((exit) => exit.text), tooLate]);
    clearTimeout(timer);
    return why;
  }

  async function start(): Promise<void> {
    if (current || phase === "stopping") return;
    setPhase("starting");
    try {
      listener ??= await openListener(spec.host, spec.port);
    } catch (error) {
      lastExit = `cannot listen on ${spec.host}:${spec.port}: ${error instanceof Error ? error.message : String(error)}`;
      log.write("error", "supervisor.listen", { error: lastExit });
      setPhase("failed");
      return;
    }
    const child = startGateway(spec, files.directory, listener.descriptor, log.descriptor);
    current = child;
    watch(child);
    const why = await becomesReady(child);
    if (current !== child) return;
    if (why === undefined) {
      setPhase("ready");
      log.write("info", "gateway.ready", { pid: child.pid });
    } else {
      // If it is still there it has hung: its end counts as a crash.
      child.kill("SIGKILL");
    }
  }

  function watch(child: GatewayChild): void {
    child.exited.then((exit) => {
      draining.delete(child);
      if (current !== child) return;
      current = undefined;
      if (phase !== "stopping") crashed(child, exit);
    });
  }

  function crashed(child: GatewayChild, exit: GatewayExit): void {
    lastExit = `${exit.text} at ${new Date().toISOString()}`;
    if (exit.code === configErrorExitCode) {
      log.write("error", "gateway.misconfigured", { pid: child.pid, exit: exit.text });
      listener?.close();
      listener = undefined;
      setPhase("failed");
      return;
    }
    crashes++;
    if (Date.now() - child.startedAt.getTime() > steadyAfterMs) attempt = 0;
    const delayMs = backoffMs[Math.min(attempt++, backoffMs.length - 1)] ?? 0;
    log.write("error", "gateway.crashed", { pid: child.pid, exit: exit.text, restart_in_ms: delayMs });
    // Two crashes in a row: whoever waits for it to be ready should hear of it.
    setPhase(delayMs > 0 ? "waiting" : "starting");
    retry = setTimeout(() => inTurn(start), delayMs);
  }

  /** The new gateway is ready before the old one drains; if it does not get ready, the old one stays. */
  async function restart(): Promise<SupervisorReply> {
    const next = readSpec(files);
    clearTimeout(retry);
    const old = current;
    if (!old || phase !== "ready") {
      if (old) await endGateway(old, 0);
      if (listener && (listener.host !== next.host || listener.port !== next.port)) {
        listener.close();
        listener = undefined;
      }
      spec = next;
      attempt = 0;
      await start();
      return phase === "ready" ? reply(true) : reply(false, failure());
    }
    const moved = next.host !== spec.host || next.port !== spec.port;
    let target = listener;
    if (moved || !target) {
      try {
        target = await openListener(next.host, next.port);
      } catch (error) {
        return reply(
          false,
          `cannot listen on ${next.host}:${next.port}: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }
    const child = startGateway(next, files.directory, target.descriptor, log.descriptor);
    const why = await becomesReady(child);
    if (why !== undefined) {
      child.kill("SIGKILL");
      if (target !== listener) target.close();
      log.write("error", "gateway.replacement_failed", { pid: child.pid, exit: why });
      return reply(false, `the new gateway ${why}; the old one goes on\n${lastLines(files.log, 20).join("\n")}`);
    }
    const before = listener;
    current = child;
    listener = target;
    spec = next;
    attempt = 0;
    watch(child);
    log.write("info", "gateway.replaced", { pid: child.pid, old_pid: old.pid });
    draining.add(old);
    if (!moved) old.replaced();
    endGateway(old, spec.drainTimeoutMs).then(() => {
      if (before && before !== listener) before.close();
    });
    return reply(true);
  }

  /** SIGTERM, then SIGKILL when it has not drained in time. */
  async function endGateway(child: GatewayChild, drainTimeoutMs: number): Promise<void> {
    child.kill(drainTimeoutMs > 0 ? "SIGTERM" : "SIGKILL");
    const timer = setTimeout(() => child.kill("SIGKILL"), drainTimeoutMs);
    await child.exited;
    clearTimeout(timer);
  }

  async function reload(): Promise<SupervisorReply> {
    if (!current || phase !== "ready") return reply(false, "the gateway is not running");
    const report = await current.reload();
    return { ...reply(report.ok, report.message), restartNeededFor: report.restartNeededFor };
  }

  async function stop(): Promise<void> {
    setPhase("stopping");
    clearTimeout(retry);
    const children = [...draining, ...(current ? [current] : [])];
    // Nobody new is let in while the last answers are given.
    listener?.close();
    listener = undefined;
    await Promise.all(children.map((child) => endGateway(child, spec.drainTimeoutMs)));
    log.write("info", "supervisor.stopped");
    clearInterval(rotation);
    end.resolve();
  }

  function failure(): string {
    return `the gateway ${lastExit ?? "did not start"}\n${lastLines(files.log, 20).join("\n")}`;
  }

  function reply(ok: boolean, message?: string): SupervisorReply {
    return { ok, message, status: status() };
  }

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = queue.then(work);
    queue = result.catch(() => {});
    return result;
  }

  if (deps.adopted) {
    current = deps.adopted.gateway;
    watch(current);
    setPhase("ready");
    log.write("warn", "supervisor.adopted", { pid: current.pid });
  } else {
    inTurn(start);
  }

  return {
    stopped: end.promise,
    stop: () => inTurn(stop),
    async handle(request) {
      switch (request.command) {
        case "status":
          return reply(true);
        case "await-ready":
          await settled.promise;
          return phase === "ready" ? reply(true) : reply(false, failure());
        case "restart":
          return inTurn(restart);
        case "reload":
          return inTurn(reload);
        case "stop":
          await inTurn(stop);
          return reply(true);
      }
    },
  };
}
