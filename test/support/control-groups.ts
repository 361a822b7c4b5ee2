/** Control groups of a container's own: two systemd in the same ones would wait for each other's processes. */
import { mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { readIfThere } from "./outcome.ts";

export interface ControlGroups {
  /** To be put before a command that shall run in them. */
  readonly prefix: readonly string[];
  /** Once nothing runs in them. */
  remove(): void;
}

const enter = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || true; shift; done; shift; exec "$@"';

/** Below the groups of this process, in those hierarchies that systemd keeps its units in. */
export function makeControlGroups(name: string): ControlGroups {
  const own = readFileSync("/proc/self/cgroup", "utf8").split("\n");
  const folders = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .flatMap((line) => {
      const [, place = "", type, options = ""] = line.split(" ");
      const isNamed = type === "cgroup" && options.split(",").includes("name=systemd");
      if (type !== "cgroup2" && !isNamed) return [];
      const path = own.find((entry) => (isNamed ? entry.includes(":name=systemd:") : entry.startsWith("0::")));
      return path === undefined ? [] : [join(place, path.slice(path.lastIndexOf(":") + 1), name)];
    })
    .filter(isMade);
  return {
    prefix: ["sh", "-c", enter, "sh", ...folders, "--"],
    remove() {
      for (const folder of folders) removeGroup(folder);
    },
  };
}

/** Where none can be made, all goes on without. */
function isMade(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true });
    return readIfThere(join(folder, "cgroup.procs")) === "";
  } catch {
    return false;
  }
}

/** Folders that hold nothing but the kernel's files go by rmdir alone. */
function removeGroup(folder: string): void {
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) removeGroup(join(folder, entry.name));
    }
    rmdirSync(folder);
  } catch {
    // A process that ends late keeps it; it is empty and costs nothing.
  }
}
