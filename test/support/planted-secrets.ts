/** Searches everything that a deployment leaves behind for secrets that a test planted: in clear, as JSON has it, in base64, URL-encoded. */
import { randomBytes } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Machine } from "./machine.ts";
import { type Exceptions, isExcepted } from "./path-exceptions.ts";
import { searchDocker } from "./planted-secrets-docker.ts";
import { searchMachine } from "./planted-secrets-machine.ts";

export interface Finding {
  /** The secret's name, never its value. */
  readonly secret: string;
  /** "file /etc/x", "process 12 (nginx) environ", "image nginx:1 etc/x", "container web logs", "journal". */
  readonly place: string;
  readonly form: Form;
}
export type Form = "clear" | "json" | "base64" | "url" | "hex";

/** They begin alike, which makes the search fast. With a character each that JSON and URLs write in another way, and none that a shell or a file could not hold; the keys are names. */
export function plantSecrets(count = 20): { [name: string]: string } {
  const names = Array.from({ length: count }, (_, index) => `planted-${String(index + 1).padStart(2, "0")}`);
  return Object.fromEntries(
    names.map((name) => [name, `${randomBytes(9).toString("hex")}/+&"=${randomBytes(9).toString("hex")}`]),
  );
}

export interface SecretSearch {
  /** Any text or bytes: previews, outputs, state; also what gzip made of it. */
  text(place: string, content: string | Buffer): Finding[];
  /** All files under folders; `except` are paths where a secret may be: a path and all below it, or what matches. */
  files(folders: readonly string[], except?: Exceptions): Finding[];
  /** Arguments and environments of all processes that are seen from here, those in containers and machines included. */
  processes(except?: Exceptions): Finding[];
  /** Of a daemon: inspections of containers, images, volumes and networks, logs, histories, and all files of all images' layers. */
  docker(host: string): Promise<Finding[]>;
  /** Of a machine: its journal, its units' properties, and its files, but for `except`; arguments and environments. */
  machine(machine: Machine, except?: Exceptions): Promise<Finding[]>;
}

export function searchFor(secrets: { readonly [name: string]: string }): SecretSearch {
  const needles = Object.entries(secrets).flatMap(([secret, value]) => formsOf(value).map((form) => ({ secret, ...form })));
  const beginnings = formsOf(commonBeginning(Object.values(secrets))).map(({ needle }) => needle);

  function text(place: string, content: string | Buffer): Finding[] {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    const found = new Map<string, Finding>();
    // Hardly a file has any.
    const mayHold = beginnings.some((needle) => bytes.includes(needle));
    for (const { secret, form, needle } of mayHold ? needles : []) {
      if (bytes.includes(needle)) found.set(`${secret} ${form}`, { secret, place, form });
    }
    const packed = bytes[0] === 0x1f && bytes[1] === 0x8b ? unpacked(bytes) : undefined;
    return [...found.values(), ...(packed ? text(`${place} (gzip)`, packed) : [])];
  }

  function files(folders: readonly string[], except: Exceptions = []): Finding[] {
    return folders.flatMap((folder) => {
      const found: Finding[] = [];
      for (const path of filesUnder(folder, except)) found.push(...text(`file ${path}`, contentOf(path)));
      return found;
    });
  }

  function processes(except: Exceptions = []): Finding[] {
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
    return pids.flatMap((pid) =>
      ["cmdline", "environ"].flatMap((what) => {
        const content = contentOf(`/proc/${pid}/${what}`);
        const name = contentOf(`/proc/${pid}/comm`).toString("utf8").trim();
        return isExcepted(content.toString("utf8"), except) ? [] : text(`process ${pid} (${name}) ${what}`, content);
      }),
    );
  }

  return {
    text,
    files,
    processes,
    docker: (host) => searchDocker(host, text),
    machine: (machine, except = []) => searchMachine(machine, { text, files }, except),
  };
}

/** Nothing where it is too short to be told in base64: then every place is looked at for every secret. */
function commonBeginning([first = "", ...others]: readonly string[]): string {
  let length = first.length;
  while (!others.every((other) => other.startsWith(first.slice(0, length)))) length--;
  const beginning = /^[A-Za-z0-9]*/.exec(first.slice(0, length))?.[0] ?? "";
  return beginning.length >= 9 ? beginning : "";
}

/** A piece of base64 depends on what stands before it: each of the three possible ones, without its ends. */
function formsOf(value: string): { form: Form; needle: Buffer }[] {
  const bytes = Buffer.from(value);
  const pieces = [0, 1, 2].map((before) => {
    const padded = Buffer.concat([Buffer.alloc(before), bytes]);
    const whole = padded.subarray(0, padded.length - (padded.length % 3)).toString("base64");
    return whole.slice(before === 0 ? 0 : 4);
  });
  const url = (text: string): string => text.replaceAll("+", "-").replaceAll("/", "_");
  const all: [Form, string][] = [
    ["clear", value],
    ["json", JSON.stringify(value).slice(1, -1)],
    ["json", goJson(value)],
    ["json", JSON.stringify(JSON.stringify(value)).slice(3, -3)],
    ["url", encodeURIComponent(value)],
    ["url", encodeURIComponent(value).replaceAll("%2F", "/")],
    ["url", new URLSearchParams([["", value]]).toString().slice(1)],
    ...pieces.flatMap((piece): [Form, string][] => [
      ["base64", piece],
      ["base64", url(piece)],
    ]),
    ["hex", bytes.toString("hex")],
  ];
  const seen = new Set<string>();
  return all
    .filter(([, needle]) => !seen.has(needle) && seen.add(needle))
    .map(([form, needle]) => ({ form, needle: Buffer.from(needle) }));
}

/** As Go writes it: fit for HTML. */
function goJson(value: string): string {
  return JSON.stringify(value)
    .slice(1, -1)
    .replace(/[&<>]/g, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`);
}

function unpacked(bytes: Buffer): Buffer | undefined {
  try {
    return gunzipSync(bytes);
  } catch {
    return undefined;
  }
}

/** Regular files; links are not followed, and nothing under another file system's /proc or /sys is looked at. */
function* filesUnder(folder: string, except: Exceptions): Generator<string> {
  if (isExcepted(folder, except)) return;
  let entries: import("node:fs").Dirent[] = [];
  try {
    if (statSync(folder).isFile()) return void (yield folder);
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    // Gone in the meantime.
  }
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (isExcepted(path, except)) continue;
    if (entry.isDirectory()) yield* filesUnder(path, except);
    else if (entry.isFile()) yield path;
  }
}

const maxBytes = 512 * 1024 * 1024;

function contentOf(path: string): Buffer {
  try {
    const { size } = statSync(path);
    if (size > maxBytes) throw new Error(`${path} is too large to be searched`);
    // Files of /proc say that they are empty.
    if (size > 0) return readFileSync(path);
    const file = openSync(path, "r");
    try {
      const chunks: Buffer[] = [];
      for (;;) {
        const chunk = Buffer.alloc(65_536);
        const read = readSync(file, chunk);
        if (read === 0) return Buffer.concat(chunks);
        chunks.push(chunk.subarray(0, read));
      }
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (error instanceof Error && error.message.includes("too large")) throw error;
    return Buffer.alloc(0);
  }
}
