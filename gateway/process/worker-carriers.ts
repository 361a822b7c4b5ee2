// The IPC channels of Node as carriers of links: to a child process, and to the parent.
import type { ChildProcess } from "node:child_process";
import { createLink, type Link } from "./worker-link.ts";

/** A channel that breaks while something is written is told of by its end. */
const ignore = (): void => {};

export function linkToWorker(child: ChildProcess): Link {
  return createLink({
    send(message) {
      if (!child.connected) return false;
      child.send(message, ignore);
      return true;
    },
    onMessage: (handler) => child.on("message", handler),
    onClose(handler) {
      child.once("disconnect", handler);
      child.once("exit", handler);
    },
  });
}

/** In a process that was started with a channel. */
export function linkToPrimary(): Link {
  return createLink({
    send(message) {
      if (!process.connected || !process.send) return false;
      process.send(message, undefined, {}, ignore);
      return true;
    },
    onMessage: (handler) => process.on("message", handler),
    onClose: (handler) => process.once("disconnect", handler),
  });
}
