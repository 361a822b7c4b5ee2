/** Writes differences between properties (pkg/backend/display/object_diff.go): `+`, `-` and `~` before what changed. */
import type { StepOp } from "../events.ts";
import { quote } from "../go-quote.ts";
import { isMap, isSecret, type PropertyMap, signatureOf, signatures, type Value } from "../values.ts";
import { type ArrayDiff, diffKeys, diffValues, isUnknown, type ObjectDiff, type ValueDiff } from "./object-diff.ts";
import {
  deeper,
  isPrimitive,
  type Place,
  type Printer,
  shortHash,
  shouldPrint,
  type Title,
  textOf,
  widest,
} from "./property-printer.ts";
import { decodeText, diffLines } from "./text-diff.ts";

export interface DiffPrinter {
  /** `include` limits it to some keys. */
  objectDiff(place: Place, diff: ObjectDiff, include?: string[]): string;
  propertyDiff(place: Place, key: string, align: number, diff: ObjectDiff): string;
  /** Paths whose change `hideDiffs` keeps from being shown. */
  hidden(place: Place, paths: string[]): string;
}

function changed(old: string, next: string): string {
  return old === next ? old : `${old}->${next}`;
}

export function createDiffPrinter(print: Printer): DiffPrinter {
  const { settings, verbatim, indented } = print;
  const close = (place: Place, bracket: string): string => indented({ ...place, prefix: false }, `${bracket}\n`);

  function marked(op: StepOp, place: Place, value: Value, title: Title): string {
    const at: Place = { ...place, op, prefix: true };
    return title(at) + print.line(at, value);
  }

  function objectDiff(place: Place, diff: ObjectDiff, include?: string[]): string {
    const keys = diffKeys(diff).filter((key) => !include || include.includes(key));
    const align = widest(keys);
    return keys.map((key) => propertyDiff(place, key, align, diff)).join("");
  }

  function propertyDiff(place: Place, key: string, align: number, diff: ObjectDiff): string {
    const title = print.title(key, align);
    const add = diff.adds.get(key);
    if (add !== undefined) return marked("create", place, add, title);
    const removal = diff.deletes.get(key);
    if (removal !== undefined) return marked("delete", place, removal, title);
    const update = diff.updates.get(key);
    if (update) return valueDiff(place, update, title);
    const same = diff.sames.get(key);
    if (settings.summary || same === undefined || !shouldPrint(same, settings.planning)) return "";
    return print.property({ ...place, op: "same", prefix: false }, key, same, align);
  }

  function valueDiff(from: Place, diff: ValueDiff, title: Title): string {
    const place: Place = { ...from, op: "update", prefix: true };
    if (settings.showSecrets && (isSecret(diff.old) || isSecret(diff.new))) {
      const open = (value: Value): Value => (isSecret(value) ? (value.value ?? null) : value);
      const inner = diffValues(open(diff.old), open(diff.new), { internal: true });
      if (inner) return valueDiff(place, inner, title);
    }
    if (diff.array) return title(place) + verbatim(place.op, "[\n") + items(place, diff.array) + close(place, "]");
    if (diff.object) {
      return title(place) + verbatim(place.op, "{\n") + objectDiff(deeper(place), diff.object) + close(place, "}");
    }
    const showOld = shouldPrint(diff.old, false);
    const showNew = shouldPrint(diff.new, false);
    if (showOld && showNew) {
      if (signatureOf(diff.old) === signatures.archive && signatureOf(diff.new) === signatures.archive) {
        return archiveDiff(place, diff.old, diff.new, title);
      }
      if (isPrimitive(diff.old) && isPrimitive(diff.new)) return title(place) + primitiveDiff(place, diff.old, diff.new);
    }
    const before = showOld ? marked("delete", place, diff.old, title) : "";
    return before + (showNew ? marked("create", place, diff.new, title) : "");
  }

  function primitiveDiff(place: Place, old: Value, next: Value): string {
    if (typeof old === "string" && typeof next === "string" && !isUnknown(old) && !isUnknown(next)) {
      return textDiff(place, old, next);
    }
    const before = print.primitive({ ...place, op: "delete" }, old);
    return `${before}${verbatim(place.op, " => ")}${print.primitive({ ...place, op: "create" }, next)}${verbatim(place.op, "\n")}`;
  }

  function items(place: Place, diff: ArrayDiff): string {
    const indexes = [...diff.adds.keys(), ...diff.deletes.keys(), ...diff.sames.keys(), ...diff.updates.keys()];
    const at = deeper(place, 2);
    const item = (i: number): string => {
      const title: Title = (where) => indented(deeper(where, -1), `[${i}]: `);
      const add = diff.adds.get(i);
      if (add !== undefined) return marked("create", at, add, title);
      const removal = diff.deletes.get(i);
      if (removal !== undefined) return marked("delete", at, removal, title);
      const update = diff.updates.get(i);
      if (update) return valueDiff(at, update, title);
      const same: Place = { ...at, op: "same", prefix: false };
      return settings.summary ? "" : title(same) + print.line(same, diff.sames.get(i) ?? null);
    };
    return indexes
      .sort((a, b) => a - b)
      .map(item)
      .join("");
  }

  function archiveDiff(place: Place, old: Value, next: Value, title: Title): string {
    const a = isMap(old) ? old : {};
    const b = isMap(next) ? next : {};
    const located = locationDiff(place, a, b, title);
    if (located !== undefined) return located;
    if (!isMap(a.assets) || !isMap(b.assets)) return marked("delete", place, old, title) + marked("create", place, next, title);
    const head = title(place) + verbatim(place.op, `archive(assets:${changed(shortHash(a), shortHash(b))}) {\n`);
    return head + assetsDiff(deeper(place), a.assets, b.assets) + close(place, "}");
  }

  function assetsDiff(place: Place, olds: PropertyMap, news: PropertyMap): string {
    const names = [...new Set([...Object.keys(olds), ...Object.keys(news)])].sort();
    const align = widest(names.map((name) => `"${name}"`));
    const asset = (name: string): string => {
      const before = olds[name];
      const after = news[name];
      const title = print.title(`"${name}"`, align);
      if (!isMap(before)) return marked("create", deeper(place), after ?? null, title);
      if (!isMap(after)) return marked("delete", deeper(place), before, title);
      if (before.hash === after.hash) return "";
      const at: Place = { ...place, op: "update", prefix: true };
      const located = signatureOf(before) === signatureOf(after) ? locationDiff(at, before, after, title) : undefined;
      return located ?? marked("delete", at, before, title) + marked("create", at, after, title);
    };
    return names.map(asset).join("");
  }

  /** An asset or archive that is a file or URI before and after: one line. */
  function locationDiff(place: Place, old: PropertyMap, next: PropertyMap, title: Title): string | undefined {
    const kind = (["path", "uri"] as const).find((name) => old[name] && next[name]);
    if (!kind) return undefined;
    const name = signatureOf(old) === signatures.asset ? "asset" : "archive";
    const hash = changed(shortHash(old), shortHash(next));
    const where = changed(textOf(old[kind]), textOf(next[kind]));
    return title(place) + verbatim(place.op, `${name}(${kind === "path" ? "file" : "uri"}:${hash}) { ${where} }\n`);
  }

  function textDiff(place: Place, old: string, next: string): string {
    const before = decodeText(old);
    const after = before && decodeText(next);
    const diff = before && after && diffValues(before.value, after.value);
    if (diff) {
      const kinds = before.kind === after.kind ? before.kind : `${before.kind} => ${after.kind}`;
      return verbatim(place.op, `(${kinds}) `) + valueDiff(place, diff, () => "");
    }
    if (old.includes("\n") || next.includes("\n")) return verbatim(place.op, "\n") + lineDiff(deeper(place), old, next);
    return `${verbatim("delete", quote(old))}${verbatim(place.op, " => ")}${verbatim("create", quote(next))}${verbatim(place.op, "\n")}`;
  }

  function lineDiff(place: Place, old: string, next: string): string {
    const changes = diffLines(old, next);
    return changes
      .map((change, index) => {
        const op: StepOp = change.kind === "insert" ? "create" : change.kind === "delete" ? "delete" : "same";
        const at: Place = { ...place, op, prefix: op !== "same" };
        const lines = change.lines.filter((text) => text.trim() !== "");
        const write = (some: string[]): string => some.map((text) => indented(at, `${print.cut(text)}\n`)).join("");
        const first = index === 0;
        const last = index === changes.length - 1;
        // Around a change, two lines of what stays are enough.
        if (op !== "same" || lines.length <= (first || last ? 3 : 5)) return write(lines);
        return (first ? "" : write(lines.slice(0, 2))) + indented(at, "...\n") + (last && !first ? "" : write(lines.slice(-2)));
      })
      .join("");
  }

  return {
    objectDiff,
    propertyDiff,
    hidden: (place, paths) =>
      paths.map((path) => indented({ ...place, op: "update", prefix: true }, `${path} (hidden)\n`)).join(""),
  };
}
