/** Whether a port can be had on this machine, and who has it otherwise. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import net from "node:net";

export function freePort(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** `node (pid 4711)`; undefined where nobody listens or this system does not tell (macOS, another user's process). */
export function portHolder(port: number): string | undefined {
  const pid = portHolderPid(port);
  if (pid === undefined) return undefined;
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").filter(Boolean);
    // Program and script only: arguments may hold secrets.
    const script = words.slice(1).find((word) => !word.startsWith("-"));
    return `process ${pid} (${[words[0]?.split("/").at(-1), script].filter(Boolean).join(" ")})`;
  } catch {
    return `process ${pid}`;
  }
}

export function portHolderPid(port: number): number | undefined {
  const inodes = listeningInodes(port);
  if (inodes.size === 0) return undefined;
  for (const pid of listFolder("/proc").filter((name) => /^\d+$/.test(name))) {
    for (const descriptor of listFolder(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(readLink(`/proc/${pid}/fd/${descriptor}`))?.[1];
      if (inode && inodes.has(inode)) return Number(pid);
    }
  }
  return undefined;
}

/** proc_net_tcp(5): column 2 is the local address, 4 the state (0A = listening), 10 the inode. */
function listeningInodes(port: number): Set<string> {
  const found = new Set<string>();
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of readOr(table).split("\n").slice(1)) {
      const columns = line.trim().split(/\s+/);
      if (columns[1]?.endsWith(suffix) && columns[3] === "0A" && columns[9]) found.add(columns[9]);
    }
  }
  return found;
}

function readOr(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
