// Opens the port; where that fails, says which port, who holds it, and what to do.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { FastifyInstance } from "fastify";
import { systemCode } from "../errors.ts";

export class ListenProblem extends Error {}

/** Connections that wait to be accepted; the kernel may allow fewer. */
const backlog = 4096;

export async function listen(server: FastifyInstance, where: { host: string; port: number } | { fd: number }): Promise<void> {
  try {
    if ("fd" in where) {
      await server.ready();
      await new Promise<void>((resolve, reject) => {
        server.server.once("error", reject);
        server.server.listen({ fd: where.fd, backlog }, () => {
          server.server.removeListener("error", reject);
          resolve();
        });
      });
    } else await server.listen({ ...where, backlog });
  } catch (error) {
    if ("fd" in where) throw new ListenProblem(`The socket that was handed over cannot be used (${systemCode(error)}).`);
    throw problemAt(where, error);
  }
}

/** What to do about an address that cannot be had; the error itself where nothing is known of it. */
export function problemAt(where: { host: string; port: number }, error: unknown): unknown {
  const code = systemCode(error);
  if (code === "EADDRINUSE") {
    const holder = holderOf(where.port);
    return new ListenProblem(
      `Port ${where.port} is in use${holder ? ` by ${holder}` : ""}.\nStop that program, or set gateway.port to a free port.`,
    );
  }
  if (code === "EACCES")
    return new ListenProblem(
      `${where.host}:${where.port} may not be opened by this user.\nSet gateway.port to a port above 1023.`,
    );
  if (code === "EADDRNOTAVAIL")
    return new ListenProblem(`${where.host} is not an address of this machine.\nSet gateway.customBindHost to one that is.`);
  return error;
}

const freeWithinMs = 60_000;

/** Waits for another process to give the port up. */
export async function listenWhenFree(server: FastifyInstance, where: { host: string; port: number }): Promise<void> {
  const until = Date.now() + freeWithinMs;
  for (;;) {
    try {
      return await listen(server, where);
    } catch (error) {
      if (!(error instanceof ListenProblem) || Date.now() > until) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Linux only: /proc tells which process has a socket that listens on the port. */
function holderOf(port: number): string | undefined {
  try {
    const hexPort = port.toString(16).toUpperCase().padStart(4, "0");
    const inodes = new Set<string>();
    for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
      for (const line of readFileSync(table, "utf8").split("\n").slice(1)) {
        const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
        if (state === "0A" && local?.endsWith(`:${hexPort}`) && inode) inodes.add(`socket:[${inode}]`);
      }
    }
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      if (hasSocket(pid, inodes)) return `process ${pid} (${readFileSync(`/proc/${pid}/comm`, "utf8").trim()})`;
    }
  } catch {
    // Not Linux, or not allowed to look: the message does without.
  }
  return undefined;
}

function hasSocket(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => inodes.has(readlinkSync(`/proc/${pid}/fd/${fd}`)));
  } catch {
    return false;
  }
}
