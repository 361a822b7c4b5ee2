// What systemd wants to hear of a service (sd_notify(3)): that it is ready, that it stops, and that its event loop still turns.
import { spawn } from "node:child_process";
import type { Environment } from "../config/places.ts";
import type { Log } from "../observability/log.ts";

export interface ServiceManager {
  ready(): void;
  stopping(): void;
}

/** Does nothing where nobody wants to hear it. */
export function tellServiceManager(env: Environment, log: Log): ServiceManager {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: watchdogUs } = env;
  if (!socket) return { ready() {}, stopping() {} };
  let isTold = false;
  // Node speaks no datagrams on Unix sockets. The unit takes messages of its other processes too (NotifyAccess=all).
  const tell = (state: string): void => {
    spawn("systemd-notify", [state], { stdio: "ignore", env: { PATH: env.PATH, NOTIFY_SOCKET: socket } })
      .on("error", (error) => {
        if (!isTold) log.of("process").error("service_manager_unreachable", `systemd is not told ${state}: ${error.message}`);
        isTold = true;
      })
      .unref();
  };
  const intervalMs = Number(watchdogUs ?? 0) / 2000;
  return {
    ready() {
      tell("READY=1");
      if (intervalMs > 0) setInterval(tell, intervalMs, "WATCHDOG=1").unref();
    },
    stopping: () => tell("STOPPING=1"),
  };
}
