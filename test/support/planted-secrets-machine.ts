/** Where a server could show a secret: its journal, the properties of its units, its processes and its files. */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Machine } from "./machine.ts";
import { type Exceptions, isExcepted } from "./path-exceptions.ts";
import type { Finding, SecretSearch } from "./planted-secrets.ts";

export async function searchMachine(
  machine: Machine,
  { text, files }: Pick<SecretSearch, "text" | "files">,
  except: Exceptions,
): Promise<Finding[]> {
  const root = machine.file("/").replace(/\/$/, "");
  const found: Finding[] = [];
  const inside = (of: Finding[]): Finding[] => of.map((finding) => ({ ...finding, place: finding.place.replace(root, "") }));
  // Before anything is asked for inside: what asks is no part of it.
  found.push(...processesOf(machine, files));
  found.push(...text("journal", await machine.good(["journalctl", "--no-pager", "--output=export", "--all"])));
  found.push(
    ...text(
      "units",
      await machine.good(["sh", "-c", "systemctl show --no-pager '*' ; systemctl cat '*' --no-pager 2>/dev/null || true"]),
    ),
  );
  // What a test planted cannot be in the pristine files; the journal has been read in clear.
  const changed = (await machine.changedFiles({ all: true })).map(({ path }) => path);
  found.push(...text("names of files", changed.join("\n")));
  const looked = changed.filter((path) => !path.startsWith("/var/log/journal/") && !isExcepted(path, except));
  const regular = looked.filter((path) => lstatSync(join(root, path), { throwIfNoEntry: false })?.isFile());
  found.push(...inside(files(regular.map((path) => join(root, path)))));
  const volatile = inside(files(["/run", "/tmp", "/dev/shm"].map((folder) => root + folder)));
  found.push(...volatile.filter(({ place }) => !isExcepted(place.replace(/^(file|names in) /, ""), except)));
  return found;
}

function processesOf(machine: Machine, files: SecretSearch["files"]): Finding[] {
  const proc = machine.file("/proc");
  const pids = readdirSync(proc).filter((name) => /^\d+$/.test(name));
  const found = pids.flatMap((pid) => files([`${proc}/${pid}/cmdline`, `${proc}/${pid}/environ`]));
  return found.map((finding) => ({
    ...finding,
    place: finding.place.replace(`file ${proc}/`, "process ").replace(/\/(\w+)$/, " $1"),
  }));
}
