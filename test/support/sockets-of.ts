// Linux: which clients a process serves, read from /proc while it is stopped.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** The ports of the clients whose connections to `port` belong to the process. */
export function clientPortsOf(pid: number, port: number): Set<number> {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    }),
  );
  const ports = new Set<number>();
  for (const line of readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1)) {
    const [, local = "", remote = "", , , , , , , inode = ""] = line.trim().split(/\s+/);
    if (portOf(local) === port && inodes.has(inode)) ports.add(portOf(remote));
  }
  return ports;
}

const portOf = (address: string): number => Number.parseInt(address.split(":")[1] ?? "", 16);
