/**
 * Kills process groups when the engine dies, however it dies: a small shell reads the engine's pipe, is told of each group
 * that begins and ends, and kills what is left when the pipe closes. One shell serves a whole run; it starts when first needed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Writable } from "node:stream";

/** Signals are ignored, so that Ctrl-C in a terminal does not take the guardian away before its time. */
const script = `trap '' INT TERM HUP QUIT
left=" "
while read -r what group; do
  case $what in
    begin) left="$left$group " ;;
    end) left="\${left%% $group *} \${left#* $group }" ;;
  esac
done
for group in $left; do kill -9 -"$group"; done 2>/dev/null`;

export interface Guardian {
  /** From now on the group dies with the engine. Call it before the process does anything that must not outlive the engine. */
  begin(group: number): void;
  end(group: number): void;
  /** Ends the guardian; groups that have not ended are killed by it. */
  close(): void;
}

export function createGuardian(): Guardian {
  const groups = new Set<number>();
  let shell: (ChildProcess & { stdin: Writable }) | undefined;
  let closed = false;

  const start = () => {
    const child = spawn("/bin/sh", ["-c", script], { detached: true, stdio: ["pipe", "ignore", "ignore"], cwd: "/" });
    shell = child;
    child.unref();
    child.stdin.on("error", () => {});
    child.on("error", () => {});
    // Somebody killed it: another one takes over.
    child.on("exit", () => {
      if (shell === child) shell = undefined;
      if (!closed && groups.size > 0) start();
    });
    for (const group of groups) child.stdin.write(`begin ${group}\n`);
    return child;
  };

  return {
    begin(group) {
      const running = shell ?? (process.platform === "win32" ? undefined : start());
      groups.add(group);
      running?.stdin.write(`begin ${group}\n`);
    },
    end(group) {
      if (groups.delete(group)) shell?.stdin.write(`end ${group}\n`);
    },
    close() {
      closed = true;
      shell?.stdin.end();
      shell = undefined;
    },
  };
}
