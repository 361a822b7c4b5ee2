/** Texts inside diffs: JSON and YAML that hide in strings, and line by line differences. */
import { parseAllDocuments } from "yaml";
import { isMap, type Value } from "../values.ts";

/** A string that holds a JSON or (over several lines) YAML document of objects or arrays. */
export function decodeText(text: string): { kind: "json" | "yaml"; value: Value } | undefined {
  const trimmed = text.trim();
  // Most strings are neither: this is looked at for every string of every diff.
  if (trimmed.startsWith("{") || trimmed.startsWith("[")) {
    try {
      const value: Value = JSON.parse(trimmed);
      if (typeof value === "object" && value !== null) return { kind: "json", value };
    } catch {}
  }
  if (!/[\r\n]/.test(trimmed)) return undefined;
  try {
    const documents = parseAllDocuments(trimmed, { logLevel: "silent" });
    const [only, ...more] = Array.isArray(documents) ? documents : [];
    if (!only || more.length > 0 || only.errors.length > 0) return undefined;
    const value: Value = JSON.parse(JSON.stringify(only.toJS() ?? null));
    return Array.isArray(value) || isMap(value) ? { kind: "yaml", value } : undefined;
  } catch {
    return undefined;
  }
}

export interface LineChange {
  kind: "same" | "insert" | "delete";
  lines: string[];
}

/** Differences of two texts in whole lines: deletions before insertions. Beyond 2000 lines all counts as changed. */
export function diffLines(old: string, next: string): LineChange[] {
  const a = old.split("\n");
  const b = next.split("\n");
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const changes: LineChange[] = [];
  const add = (kind: LineChange["kind"], lines: string[]): void => {
    const last = changes.at(-1);
    if (lines.length === 0) return;
    if (last?.kind === kind) last.lines.push(...lines);
    else changes.push({ kind, lines });
  };
  add("same", a.slice(0, head));
  middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail), add);
  add("same", a.slice(a.length - tail));
  return changes;
}

function middle(a: string[], b: string[], add: (kind: LineChange["kind"], lines: string[]) => void): void {
  if (a.length === 0 || b.length === 0 || a.length > 2000 || b.length > 2000) {
    add("delete", a);
    add("insert", b);
    return;
  }
  // lengths[i * w + j] = length of the longest common subsequence of a[i..] and b[j..].
  const w = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * w);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * w + j] =
        a[i] === b[j]
          ? (lengths[(i + 1) * w + j + 1] ?? 0) + 1
          : Math.max(lengths[(i + 1) * w + j] ?? 0, lengths[i * w + j + 1] ?? 0);
    }
  }
  let i = 0;
  let j = 0;
  let deleted: string[] = [];
  let inserted: string[] = [];
  const flush = (): void => {
    add("delete", deleted);
    add("insert", inserted);
    deleted = [];
    inserted = [];
  };
  while (i < a.length || j < b.length) {
    const before = a[i];
    const after = b[j];
    if (before !== undefined && before === after) {
      flush();
      add("same", [before]);
      i++;
      j++;
    } else if (
      after === undefined ||
      (before !== undefined && (lengths[(i + 1) * w + j] ?? 0) >= (lengths[i * w + j + 1] ?? 0))
    ) {
      deleted.push(before ?? "");
      i++;
    } else {
      inserted.push(after);
      j++;
    }
  }
  flush();
}
