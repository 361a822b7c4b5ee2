/** What changed in a file system that is a layer over pristine files: the layer says where to look, contents decide. */
import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

export interface FileChange {
  readonly path: string;
  readonly change: "added" | "changed" | "removed";
  /** Where a changed one differs: "content", "mode", "owner", "kind". */
  readonly what: readonly string[];
}

export interface State {
  readonly kind: string;
  readonly mode: string;
  readonly owner: string;
  /** Its sum. */
  readonly content: string;
}

export interface FileComparison {
  /** The state of now is the pristine one. */
  mark(): void;
  changes(all: boolean): FileChange[];
  /** Every path that may differ from the pristine files. */
  touched(): Set<string>;
  state(path: string): State | undefined;
}

/** What systemd, sshd and the kernel write by themselves on any Debian that runs; a path with / at its end is a folder with all in it. */
const restless = [
  "/var/tmp/",
  "/srv/packages/",
  "/var/log/journal/",
  "/var/log/wtmp",
  "/var/log/btmp",
  "/var/log/lastlog",
  "/var/log/faillog",
  "/var/lib/systemd/random-seed",
  "/var/lib/systemd/timers/",
  "/var/lib/systemd/timesync/",
  "/var/lib/systemd/network/",
  "/root/.cache/",
];

/** Others are mounted there. */
const mounted = ["/dev", "/proc", "/run", "/sys", "/tmp"];

/** `merged` is where all files are seen now. */
export function createFileComparison(of: { lower: string; upper: string; merged(): string }): FileComparison {
  let marked = new Map<string, State | undefined>();

  /** Every path that the layer holds, and every one that it hides: a folder that was made anew hides all of the old one. */
  function touched(): Set<string> {
    const paths = new Set<string>();
    const merged = of.merged();
    const hide = (path: string): void => {
      paths.add(path);
      if (stateOf(join(of.lower, path))?.kind === "folder") {
        for (const name of names(join(of.lower, path))) hide(`${path}/${name}`);
      }
    };
    const visit = (path: string): void => {
      const now = new Set(names(join(merged, path)));
      for (const name of names(join(of.lower, path))) if (!now.has(name)) hide(`${path}/${name}`);
      for (const name of names(join(of.upper, path))) {
        const inner = `${path}/${name}`;
        if (mounted.includes(inner)) continue;
        paths.add(inner);
        if (stateOf(join(of.upper, inner))?.kind === "folder") visit(inner);
      }
    };
    visit("");
    return paths;
  }

  return {
    touched,
    state: (path) => stateOf(join(of.merged(), path)),
    mark() {
      const merged = of.merged();
      marked = new Map([...touched()].map((path) => [path, stateOf(join(merged, path))]));
    },
    changes(all) {
      const merged = of.merged();
      const found: FileChange[] = [];
      for (const path of [...new Set([...touched(), ...marked.keys()])].sort()) {
        if (!all && isRestless(path)) continue;
        const before = marked.has(path) ? marked.get(path) : stateOf(join(of.lower, path));
        const now = stateOf(join(merged, path));
        if (!before && !now) continue;
        if (!before || !now) found.push({ path, change: before ? "removed" : "added", what: [] });
        else {
          const what = differences(before, now);
          if (what.length > 0) found.push({ path, change: "changed", what });
        }
      }
      return found;
    },
  };
}

/** How the other system differs from the one, when both are layers over the same pristine files. */
export function compareSystems(one: FileComparison, other: FileComparison): FileChange[] {
  return [...new Set([...one.touched(), ...other.touched()])].sort().flatMap((path): FileChange[] => {
    if (isRestless(path)) return [];
    const [mine, theirs] = [one.state(path), other.state(path)];
    if (!mine && !theirs) return [];
    if (!mine || !theirs) return [{ path, change: mine ? "removed" : "added", what: [] }];
    const what = differences(mine, theirs);
    return what.length > 0 ? [{ path, change: "changed", what }] : [];
  });
}

const isRestless = (path: string): boolean =>
  restless.some((start) => (start.endsWith("/") ? path.startsWith(start) : path === start));

function differences(before: State, now: State): string[] {
  const parts = ["kind", "mode", "owner", "content"] as const;
  return parts.filter((part) => before[part] !== now[part]);
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function stateOf(path: string): State | undefined {
  try {
    const stat = lstatSync(path);
    const kind = stat.isDirectory() ? "folder" : stat.isSymbolicLink() ? "link" : stat.isFile() ? "file" : "special";
    const content = kind === "link" ? readlinkSync(path) : kind === "file" ? readFileSync(path) : "";
    const mode = (stat.mode & 0o7777).toString(8);
    return { kind, mode, owner: `${stat.uid}:${stat.gid}`, content: createHash("sha256").update(content).digest("hex") };
  } catch {
    return undefined;
  }
}
