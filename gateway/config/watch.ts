// Watches the folders of files: an editor or a deployer replaces a file by renaming, and then the file itself is a new one.
import { createHash } from "node:crypto";
import { type FSWatcher, readFileSync, watch } from "node:fs";
import { dirname } from "node:path";

export interface Watcher {
  /** Replaces the list of files; folders that are watched already stay watched. */
  follow(files: readonly string[]): void;
  close(): void;
}

interface Options {
  readonly debounceMs: number;
  readonly onChange: () => void;
  readonly onProblem: (message: string) => void;
}

/** For file systems that tell nobody of changes. */
const pollMs = 5000;

/** Calls `onChange` when the content of one of the files is another one than before, and quiet for `debounceMs`. */
export function createWatcher({ debounceMs, onChange, onProblem }: Options): Watcher {
  let files: readonly string[] = [];
  let known = "";
  let timer: NodeJS.Timeout | undefined;
  const folders = new Map<string, FSWatcher>();

  const look = (): void => {
    const now = fingerprint(files);
    if (now === known) return;
    known = now;
    onChange();
  };
  const soon = (): void => {
    clearTimeout(timer);
    timer = setTimeout(look, debounceMs);
  };
  const poll = setInterval(look, pollMs);
  poll.unref();

  return {
    follow(next) {
      files = next;
      known = fingerprint(files);
      const wanted = new Set(files.map((file) => dirname(file)));
      for (const [folder, watcher] of folders) {
        if (wanted.has(folder)) continue;
        watcher.close();
        folders.delete(folder);
      }
      for (const folder of wanted) {
        if (folders.has(folder)) continue;
        try {
          const watcher = watch(folder, { persistent: false }, soon);
          watcher.on("error", (error) =>
            onProblem(`${folder} is no longer watched (${error.message}); it is looked at every ${pollMs / 1000} s`),
          );
          folders.set(folder, watcher);
        } catch (error) {
          onProblem(
            `${folder} cannot be watched (${error instanceof Error ? error.message : String(error)}); it is looked at every ${pollMs / 1000} s`,
          );
        }
      }
    },
    close() {
      clearTimeout(timer);
      clearInterval(poll);
      for (const watcher of folders.values()) watcher.close();
      folders.clear();
    },
  };
}

function fingerprint(files: readonly string[]): string {
  const hash = createHash("sha256");
  for (const file of files) {
    hash.update(`\0${file}\0`);
    try {
      hash.update(readFileSync(file));
    } catch {
      hash.update("missing");
    }
  }
  return hash.digest("hex");
}
