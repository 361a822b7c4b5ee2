/**
 * The gateway's side of the bond with its supervisor: the inherited listening socket, "I am ready", reloads on request,
 * and a new supervisor when the old one was killed. Does nothing in a gateway that was started by hand.
 * A service manager may hand over a socket too: it has nothing else to say here.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { type GatewayMessage, otherSupervisorExitCode, SupervisorMessage } from "./supervisor-files.ts";
import { supervisedBySystemd } from "./supervisor-systemd.ts";

/** The descriptor of the inherited socket, as with systemd's socket activation (sd_listen_fds(3)). */
const listenDescriptor = 3;
/** More lives than this in a minute mean that a supervisor cannot stay up; then the gateway goes on alone. */
const maxRevivalsPerMinute = 5;

export interface ReloadReport {
  ok: boolean;
  message?: string;
  restartNeededFor?: string[];
}

export interface SupervisorLink {
  /** Listen on this descriptor instead of an address, where a socket was handed over. */
  listenDescriptor: number | undefined;
  /** To be called once the server accepts requests. */
  ready(): void;
  /** To be called when the gateway begins to drain: from then on no new supervisor is started. */
  draining(): void;
  /** Whether another gateway is in this one's place, or will be, which accepts on the same socket. */
  replaced(): boolean;
}

export function linkToSupervisor(options: { reload(): Promise<ReloadReport> }): SupervisorLink {
  const directory = process.env.OPENCLAW_SUPERVISOR_DIRECTORY;
  const inherited = process.env.LISTEN_FDS === "1" ? listenDescriptor : undefined;
  delete process.env.LISTEN_FDS;
  /** The socket is the service manager's: it keeps it, and the gateway that comes next accepts on it. */
  const isServiceManagers = inherited !== undefined && process.send === undefined;
  let draining = false;
  let replaced = false;
  let tell = (message: GatewayMessage): void => {
    process.send?.(message);
  };
  const revivals: number[] = [];

  const onMessage = async (raw: unknown): Promise<void> => {
    const message = SupervisorMessage.safeParse(raw);
    if (!message.success) return;
    if (message.data.type === "replaced") {
      replaced = true;
      return;
    }
    const report = await options.reload().catch((error: unknown) => ({ ok: false, message: String(error) }));
    tell({ type: "reloaded", ...report });
  };

  const revive = (): void => {
    const now = Date.now();
    const recent = revivals.filter((time) => now - time < 60_000);
    if (
      draining ||
      process.env[supervisedBySystemd] ||
      !directory ||
      inherited === undefined ||
      recent.length >= maxRevivalsPerMinute
    )
      return;
    revivals.push(now);
    const child = spawn(process.execPath, [join(import.meta.dirname, "supervisor-main.ts"), directory], {
      detached: true,
      stdio: ["ignore", "inherit", "inherit", inherited, "ipc"],
      env: { ...process.env, OPENCLAW_ADOPT_PID: String(process.pid) },
    });
    tell = (message) => {
      if (child.connected) child.send(message, () => {});
    };
    child.on("message", onMessage);
    child.on("error", revive);
    child.on("exit", (code) => {
      if (code !== 0 && code !== otherSupervisorExitCode) revive();
    });
    child.unref();
    child.channel?.unref();
  };

  if (directory && process.send) {
    process.on("message", onMessage);
    process.once("disconnect", revive);
    process.channel?.unref();
  }
  return {
    listenDescriptor: inherited,
    ready: () => tell({ type: "ready" }),
    draining: () => {
      draining = true;
    },
    replaced: () => replaced || isServiceManagers,
  };
}
