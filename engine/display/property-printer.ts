/** Writes properties line by line, as the CLI does (pkg/backend/display/object_diff.go). */

import type { StepOp } from "../events.ts";
import { quote } from "../go-quote.ts";
import { isPlainMap } from "../properties.ts";
import { isMap, isSecret, type PropertyMap, signatureOf, signatures, type Value } from "../values.ts";
import { isInternalKey, isUnknown } from "./object-diff.ts";
import { ops } from "./ops.ts";
import type { Paint } from "./style.ts";
import { decodeText } from "./text-diff.ts";

export interface PrintSettings {
  paint: Paint;
  /** A preview: empty values are left out of what is unchanged. */
  planning: boolean;
  /** Leaves unchanged properties out of differences. */
  summary?: boolean;
  /** Cuts strings after three lines and lines after 150 characters. */
  truncate: boolean;
  showSecrets: boolean;
}

/** Where a line begins and how it is marked. */
export interface Place {
  indent: number;
  op: StepOp;
  prefix: boolean;
}

/** What stands before a value: `name: ` or `[0]: `, indented. */
export type Title = (place: Place) => string;

/** Four columns an indent; with `prefix` the last two hold the mark of the operation. */
export function indentation({ indent, op, prefix }: Place): string {
  const spaces = "    ".repeat(indent);
  return prefix && spaces !== "" ? spaces.slice(0, -2) + ops[op].mark : spaces;
}

export function deeper(place: Place, by = 1): Place {
  return { ...place, indent: place.indent + by };
}

export function shouldPrint(value: Value | undefined, outputs: boolean): boolean {
  if (value === undefined || value === null || value === "") return false;
  if (Array.isArray(value)) return value.length > 0;
  if (!isMap(value)) return true;
  if (isPlainMap(value)) return Object.keys(value).length > 0;
  return signatureOf(value) !== signatures.output || outputs;
}

/** What is written on one line: scalars, secrets, and what is not known yet. */
export function isPrimitive(value: Value): boolean {
  if (typeof value !== "object" || value === null) return true;
  const signature = signatureOf(value);
  return signature === signatures.secret || signature === signatures.output;
}

export function textOf(value: Value | undefined): string {
  return typeof value === "string" ? value : "";
}

export function shortHash(value: PropertyMap): string {
  return textOf(value.hash).slice(0, 7);
}

export function widest(keys: string[]): number {
  return keys.reduce((most, key) => Math.max(most, Buffer.byteLength(key)), 0);
}

function numberText(value: number): string {
  if (Number.isInteger(value)) return Math.abs(value) < 1e21 ? String(value) : BigInt(value).toString();
  return String(value).replace(/e([+-])(\d)$/, "e$10$2");
}

export interface Printer {
  settings: PrintSettings;
  /** A text in the colour of an operation. */
  verbatim(op: StepOp, text: string): string;
  /** The same after the indentation of its place. */
  indented(place: Place, text: string): string;
  /** Shortened where the settings say so. */
  cut(text: string): string;
  title(name: string, align: number): Title;
  /** All properties of a map but the internal ones, sorted, one `name: value` a line. */
  object(place: Place, properties: PropertyMap): string;
  property(place: Place, key: string, value: Value, align: number): string;
  /** A value and the end of its line. */
  line(place: Place, value: Value): string;
  primitive(place: Place, value: Value): string;
}

export function createPrinter(settings: PrintSettings): Printer {
  const verbatim = (op: StepOp, text: string): string => settings.paint(text, ops[op].style);
  const indented = (place: Place, text: string): string => verbatim(place.op, indentation(place) + text);
  const close = (place: Place, bracket: string): string => indented({ ...place, prefix: false }, bracket);

  function cut(text: string): string {
    if (!settings.truncate) return text;
    const lines = text.split("\n");
    const kept = lines.slice(0, 3).map((line) => (line.length > 150 ? `${line.slice(0, 150)}...` : line));
    return kept.join("\n") + (lines.length > 3 ? "\n..." : "");
  }

  function title(name: string, align: number): Title {
    return (place) => indented(place, `${cut(name).padEnd(align)}: `);
  }

  function object(place: Place, properties: PropertyMap): string {
    const keys = Object.keys(properties).sort();
    const align = widest(keys);
    return keys.map((key) => (isInternalKey(key) ? "" : property(place, key, properties[key] ?? null, align))).join("");
  }

  function property(place: Place, key: string, value: Value, align: number): string {
    return title(key, align)(place) + line(place, value);
  }

  function line(place: Place, value: Value): string {
    return inline(place, value) + verbatim(place.op, "\n");
  }

  function inline(place: Place, value: Value): string {
    if (isSecret(value) && settings.showSecrets) return inline(place, value.value ?? null);
    if (isPrimitive(value)) return primitive(place, value);
    if (Array.isArray(value)) {
      if (value.length === 0) return verbatim(place.op, "[]");
      const items = value.map((item, i) => indented(place, `    [${i}]: `) + line(deeper(place), item));
      return verbatim(place.op, "[\n") + items.join("") + close(place, "]");
    }
    if (!isMap(value)) return "";
    if (signatureOf(value) === signatures.asset) return asset(place, value);
    if (signatureOf(value) === signatures.archive) return archive(place, value);
    const inside = signatureOf(value) === signatures.resource ? reference(deeper(place), value) : object(deeper(place), value);
    return Object.keys(value).length === 0 ? verbatim(place.op, "{}") : verbatim(place.op, "{\n") + inside + close(place, "}");
  }

  function primitive(place: Place, value: Value): string {
    if (isUnknown(value)) return verbatim(place.op, "[unknown]");
    if (isMap(value)) {
      // A secret, or an output value; what a secret output holds is as secret.
      const open = signatureOf(value) === signatures.output && (value.secret !== true || settings.showSecrets);
      return open ? inline(place, value.value ?? null) : verbatim(place.op, "[secret]");
    }
    if (value === null) return verbatim(place.op, "<null>");
    if (typeof value === "number") return verbatim(place.op, numberText(value));
    if (typeof value !== "string") return verbatim(place.op, String(value));
    const decoded = decodeText(value);
    if (!decoded) return verbatim(place.op, quote(cut(value)));
    return verbatim(place.op, `(${decoded.kind}) `) + line(place, decoded.value);
  }

  function reference(place: Place, value: PropertyMap): string {
    const id = isUnknown(value.id) ? "[unknown]" : value.id === undefined ? "<null>" : quote(textOf(value.id));
    const parts = [
      ["URN", quote(textOf(value.urn))],
      ["ID", id],
      ["PackageVersion", quote(textOf(value.packageVersion))],
    ];
    return parts.map(([name = "", text = ""]) => title(name, 3)(place) + verbatim(place.op, `${text}\n`)).join("");
  }

  function asset(place: Place, value: PropertyMap): string {
    const hash = shortHash(value);
    if (value.path) return verbatim(place.op, `asset(file:${hash}) { ${textOf(value.path)} }`);
    if (value.uri) return verbatim(place.op, `asset(uri:${hash}) { ${textOf(value.uri)} }`);
    // Contents may be long and may hold anything: the hash says whether they changed.
    return verbatim(place.op, `asset(text:${hash}) {\n`) + close(place, "    <contents elided>\n") + close(place, "}");
  }

  function archive(place: Place, value: PropertyMap): string {
    const hash = shortHash(value);
    const assets = value.assets;
    if (isMap(assets)) {
      const names = Object.keys(assets).sort();
      const inside = names.map((name) => indented(place, `    "${name}": `) + line(deeper(place), assets[name] ?? null));
      return verbatim(place.op, `archive(assets:${hash}) {\n`) + inside.join("") + close(place, "}");
    }
    if (value.path) return verbatim(place.op, `archive(file:${hash}) { ${textOf(value.path)} }`);
    if (value.uri) return verbatim(place.op, `archive(uri:${hash}) { ${textOf(value.uri)} }`);
    return verbatim(place.op, `archive(${hash}) { }`);
  }

  return { settings, verbatim, indented, cut, title, object, property, line, primitive };
}
