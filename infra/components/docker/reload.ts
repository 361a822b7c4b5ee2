/** Waits until a proxy in a container serves by its new configuration: new worker processes, none of the old ones takes more. */
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import type { Docker } from "./client.ts";

export interface Running {
  id: string;
  workers: string[];
}

const listed = z.array(z.object({ Id: z.string() }));
const top = z.object({ Titles: z.array(z.string()), Processes: z.array(z.array(z.string())).nullable() });
const timeoutMs = 60_000;
const lookMs = 100;
/** A proxy in a container looks at its files each second, and takes over what it saw twice. */
const settleMs = 10_000;

/** The service's container and the processes that serve now; undefined where it does not run. */
export async function findRunning(docker: Docker, project: string, service: string): Promise<Running | undefined> {
  const filters = JSON.stringify({
    label: [`openclaw-stack.project=${project}`, `com.docker.compose.service=${service}`],
    status: ["running"],
  });
  const [container] = await docker.json({ method: "GET", path: "/containers/json", query: { filters } }, listed);
  return container && { id: container.Id, workers: await workersOf(docker, container.Id) };
}

/** To be called right after the files were written; `workers` served before that. */
export async function awaitReload(docker: Docker, { id, workers }: Running): Promise<void> {
  const written = Date.now();
  const since = await workersOf(docker, id);
  // It read its files while they were written (a certificate was renewed): maybe those of before. Then it reads them once more.
  const undecided = workers.length > 0 && since.toString() !== workers.toString();
  const old = undecided ? [...workers, ...since] : workers;
  for (;;) {
    const now = await workersOf(docker, id);
    const without = (those: string[]): boolean => now.length > 0 && !now.some((worker) => those.includes(worker));
    const passed = Date.now() - written;
    if (without(old) || (undecided && passed > settleMs && without(workers))) return;
    if (passed > timeoutMs) {
      throw new Error(
        `the proxy did not take its new configuration in ${timeoutMs / 1000} s and goes on with the one before; see: docker logs ${id.slice(0, 12)}`,
      );
    }
    await pause(lookMs);
  }
}

/** Processes that take new connections, by what the host's ps says; those that only finish what they began are left out. */
async function workersOf(docker: Docker, id: string): Promise<string[]> {
  const { Titles, Processes } = await docker.json(
    { method: "GET", path: `/containers/${id}/top`, query: { ps_args: "-eo pid,ppid,args" } },
    top,
  );
  const [pid, parent, args] = ["PID", "PPID", "COMMAND"].map((title) => Titles.indexOf(title));
  const rows = (Processes ?? []).map((row) => ({
    pid: row[pid ?? 0] ?? "",
    parent: row[parent ?? 1] ?? "",
    args: row[args ?? 2] ?? "",
  }));
  const nginx = rows.filter((row) => row.args.startsWith("nginx: worker process"));
  if (nginx.length > 0) {
    const serving = nginx.filter((row) => !row.args.includes("shutting down"));
    return serving.map((row) => row.pid).toSorted((a, b) => Number(a) - Number(b));
  }
  // HAProxy: the newest child of its master serves; the others finish.
  const haproxy = rows.filter((row) => /(^|\/)haproxy /.test(row.args));
  const children = haproxy.filter((row) => haproxy.some((other) => other.pid === row.parent));
  return children
    .map((row) => row.pid)
    .toSorted((a, b) => Number(a) - Number(b))
    .slice(-1);
}
