// Records of processes that are not the writer of the state folder: files beside it, which the writer takes over, each record once.
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { UsageRecord } from "../store.ts";
import { fromLine, toLine } from "./record.ts";

export interface Spool {
  /** On disk when it returns: what is lost with the process is nothing, what is lost with the machine are the last seconds. */
  append(records: readonly UsageRecord[]): void;
  /** Claims what others left, and gives it file by file; `done` forgets the file. A file that was claimed and not done comes again. */
  claim(): readonly Claimed[];
}

interface Claimed {
  readonly records: readonly UsageRecord[];
  /** Lines that are no whole record: a process died while it wrote them. */
  readonly broken: number;
  done(): void;
}

const ending = ".jsonl";
const claimedEnding = ".merging";

/** `origin` is unique to this process. */
export function createSpool(folder: string, origin: string): Spool {
  let number = 0;

  /** False where the file was taken over while it was written: the writer may have read it before. */
  function write(text: string): boolean {
    const file = join(folder, `${origin}-${number}${ending}`);
    const descriptor = openSync(file, "a", 0o600);
    try {
      // A whole line is written at once; one that a full disk tore is ended, so that the next one is whole.
      writeSync(descriptor, text);
      return statSync(file, { throwIfNoEntry: false })?.ino === fstatSync(descriptor).ino;
    } finally {
      closeSync(descriptor);
    }
  }

  return {
    append(records) {
      if (records.length === 0) return;
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const text = `\n${records.map(toLine).join("\n")}\n`;
      // Twice on disk is once in the books: records have ids.
      for (let tries = 0; tries < 5 && !write(text); tries += 1) number += 1;
    },
    claim() {
      let names: string[];
      try {
        names = readdirSync(folder).sort();
      } catch {
        return [];
      }
      for (const name of names) {
        if (name.endsWith(ending)) renameSync(join(folder, name), join(folder, `${name}.${Date.now()}${claimedEnding}`));
      }
      if (names.length === 0) return [];
      return readdirSync(folder)
        .filter((name) => name.endsWith(claimedEnding))
        .map((name) => {
          const file = join(folder, name);
          const lines = readFileSync(file, "utf8")
            .split("\n")
            .filter((line) => line !== "");
          const records = lines.map(fromLine).filter((record) => record !== undefined);
          return { records, broken: lines.length - records.length, done: () => rmSync(file, { force: true }) };
        });
    },
  };
}
