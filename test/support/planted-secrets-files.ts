/** Files of any size, looked through in pieces; names and links of a folder count as text, too. */
import { closeSync, type Dirent, openSync, readdirSync, readlinkSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Needles } from "./needles.ts";
import { type Exceptions, isExcepted } from "./path-exceptions.ts";
import type { Finding, SecretSearch } from "./planted-secrets.ts";

const pieceBytes = 4 * 1024 * 1024;
const maxUnpackedBytes = 1024 ** 3;

export function createFileSearch(
  needles: Needles,
  describe: (seen: ReadonlySet<number>, place: string) => Finding[],
): Pick<SecretSearch, "text" | "files"> {
  const kept = needles.longest - 1;
  const buffer = Buffer.allocUnsafe(pieceBytes + kept);

  function text(place: string, content: string | Buffer): Finding[] {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    const packed = isPacked(bytes) ? unpacked(bytes) : undefined;
    return [...describe(needles.find(bytes), place), ...(packed ? text(`${place} (gzip)`, packed) : [])];
  }

  function file(path: string): Finding[] {
    const place = `file ${path}`;
    let descriptor: number;
    try {
      descriptor = openSync(path, "r");
    } catch {
      // Gone in the meantime.
      return [];
    }
    try {
      const seen = new Set<number>();
      const whole: Buffer[] = [];
      let packed = false;
      // What could be the beginning of a text stays for the next piece.
      for (let before = 0, first = true; ; first = false) {
        const read = readSync(descriptor, buffer, before, pieceBytes, null);
        if (read === 0) break;
        const bytes = buffer.subarray(0, before + read);
        if (first) packed = isPacked(bytes);
        if (packed) whole.push(Buffer.from(bytes.subarray(before)));
        needles.find(bytes, seen);
        before = Math.min(kept, bytes.length);
        bytes.copy(buffer, 0, bytes.length - before);
      }
      const inside = packed ? unpacked(Buffer.concat(whole)) : undefined;
      return [...describe(seen, place), ...(inside ? describe(needles.find(inside), `${place} (gzip)`) : [])];
    } finally {
      closeSync(descriptor);
    }
  }

  function below(folder: string, except: Exceptions, found: Finding[]): void {
    if (isExcepted(folder, except)) return;
    let entries: Dirent[];
    try {
      if (statSync(folder).isFile()) return void found.push(...file(folder));
      entries = readdirSync(folder, { withFileTypes: true });
    } catch {
      // Gone in the meantime.
      return;
    }
    const words = entries.map(
      (entry) => `${entry.name}${entry.isSymbolicLink() ? ` ${linkOf(join(folder, entry.name))}` : ""}`,
    );
    found.push(...text(`names in ${folder}`, words.join("\n")));
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) below(path, except, found);
      else if (entry.isFile() && !isExcepted(path, except)) found.push(...file(path));
    }
  }

  return {
    text,
    files(folders, except = []) {
      const found: Finding[] = [];
      for (const folder of folders) below(folder, except, found);
      return found;
    },
  };
}

const isPacked = (bytes: Buffer): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

function unpacked(bytes: Buffer): Buffer | undefined {
  try {
    return gunzipSync(bytes, { maxOutputLength: maxUnpackedBytes });
  } catch {
    return undefined;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
