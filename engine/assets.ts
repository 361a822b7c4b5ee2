/**
 * Hashes of assets and archives, as the CLI computes them: sha256 of the bytes; of a folder or a map, sha256 of a plain
 * ustar of its files. Programs send assets without a hash; the engine adds it before anything is compared.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { isAbsolute, join, posix, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { EngineError } from "./errors.ts";
import { isArchive, isAsset, isMap, type PropertyMap, type Value } from "./values.ts";

const archiveEndings = [".tar", ".tgz", ".tar.gz", ".zip", ".jar"];

/** The map with a hash in each asset and archive that lacks one. Paths are relative to `directory`. */
export async function withHashes(map: PropertyMap, directory: string): Promise<PropertyMap> {
  if (!containsUnhashed(map)) return map;
  const result: PropertyMap = {};
  for (const key of Object.keys(map)) {
    const value = map[key];
    if (value !== undefined) result[key] = await hashed(value, directory, key);
  }
  return result;
}

/** A quick look first: most resources have no assets, and nothing is to be copied for them. */
function containsUnhashed(value: Value | undefined): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some(containsUnhashed);
  if (isAsset(value) || isArchive(value)) return !value.hash;
  for (const key of Object.keys(value)) if (containsUnhashed(value[key])) return true;
  return false;
}

async function hashed(value: Value, directory: string, property: string): Promise<Value> {
  if (!containsUnhashed(value)) return value;
  if (Array.isArray(value)) return await Promise.all(value.map((item) => hashed(item, directory, property)));
  if (!isMap(value)) return value;
  if (!isAsset(value) && !isArchive(value)) return await withHashes(value, directory);
  try {
    const hash = isAsset(value) ? await hashAsset(value, directory) : await hashArchive(value, directory);
    return { ...value, hash };
  } catch (error) {
    const kind = isAsset(value) ? "asset" : "archive";
    throw new EngineError(`failed to compute ${kind} hash for "${property}": ${messageOf(error)}`, { cause: error });
  }
}

export async function hashAsset(asset: PropertyMap, directory: string): Promise<string> {
  const hash = createHash("sha256");
  const file = fileOf(asset, directory);
  if (file === undefined) return hash.update(text(asset.text)).digest("hex");
  if ((await stat(file)).isDirectory()) throw new EngineError(`asset path '${file}' is a directory; try using an archive`);
  await addFile(hash, file);
  return hash.digest("hex");
}

export async function hashArchive(archive: PropertyMap, directory: string): Promise<string> {
  const hash = createHash("sha256");
  const file = fileOf(archive, directory);
  if (file !== undefined && isArchiveFile(file)) await addFile(hash, file);
  else {
    const seen = new Set<string>();
    for (const entry of await archiveEntries(archive, directory)) {
      if (seen.has(entry.name)) continue;
      seen.add(entry.name);
      await addEntry(hash, entry);
    }
    hash.update(Buffer.alloc(1024));
  }
  return hash.digest("hex");
}

interface Entry {
  name: string;
  /** A file, or the bytes themselves. */
  source: string | Buffer;
}

/** The files of an archive in the order in which they are hashed. */
export async function archiveEntries(archive: PropertyMap, directory: string): Promise<Entry[]> {
  const file = fileOf(archive, directory);
  if (file !== undefined) return await folderEntries(file);
  const members = isMap(archive.assets) ? archive.assets : {};
  const result: Entry[] = [];
  for (const name of Object.keys(members).sort(byBytes)) {
    const member = members[name];
    if (isAsset(member)) result.push({ name, source: fileOf(member, directory) ?? Buffer.from(text(member.text)) });
    else if (isArchive(member)) {
      const inner = fileOf(member, directory);
      if (inner !== undefined && isArchiveFile(inner)) {
        throw new EngineError(
          `the archive file '${inner}' inside another archive is not supported by the embedded engine; ` +
            "unpack it into a folder, or use the Pulumi CLI",
        );
      }
      for (const entry of await archiveEntries(member, directory)) {
        result.push({ name: posix.join(name, entry.name), source: entry.source });
      }
    } else throw new EngineError(`archive member '${name}' is not an asset or archive`);
  }
  return result;
}

/** All files of a folder, links to files followed, links to folders and `.pulumi` left out; names sorted folder by folder. */
async function folderEntries(folder: string): Promise<Entry[]> {
  const info = await stat(folder).catch((error: unknown) => {
    throw new EngineError(`couldn't read archive path '${folder}': ${messageOf(error)}`, { cause: error });
  });
  if (!info.isDirectory()) throw new EngineError(`'${folder}' is neither a recognized archive type nor a directory`);
  const result: Entry[] = [];
  const walk = async (current: string): Promise<void> => {
    const children = await readdir(current, { withFileTypes: true });
    for (const child of children.sort((left, right) => byBytes(left.name, right.name))) {
      if (child.name === ".pulumi") continue;
      const path = join(current, child.name);
      if (child.isDirectory()) await walk(path);
      else if (!child.isSymbolicLink() || !(await stat(path)).isDirectory()) {
        result.push({ name: relative(folder, path).split(sep).join("/"), source: path });
      }
    }
  };
  await walk(folder);
  return result;
}

async function addEntry(hash: Hash, entry: Entry): Promise<void> {
  const size = typeof entry.source === "string" ? (await stat(entry.source)).size : entry.source.length;
  for (const block of tarHeader(entry.name, size)) hash.update(block);
  if (typeof entry.source === "string") await addFile(hash, entry.source);
  else hash.update(entry.source);
  hash.update(Buffer.alloc((512 - (size % 512)) % 512));
}

async function addFile(hash: Hash, file: string): Promise<void> {
  for await (const chunk of createReadStream(file)) hash.update(chunk);
}

/** As Go's archive/tar writes a header with nothing but name, mode 0600 and size; long or odd names get a PAX record first. */
function tarHeader(name: string, size: number): Buffer[] {
  const ascii = /^[\0-\x7f]*$/.test(name);
  const short = ascii ? splitName(name) : undefined;
  if (short && size < 0o77777777777) return [ustar(short.name, short.prefix, 0o600, size, "0")];
  const records: string[] = [];
  if (!short) records.push(paxRecord("path", name));
  if (size >= 0o77777777777) records.push(paxRecord("size", String(size)));
  const body = Buffer.from(records.sort().join(""));
  const plain = name.replace(/[^\0-\x7f]/g, "");
  const slash = plain.lastIndexOf("/");
  const paxName = posix.join(plain.slice(0, slash + 1), "PaxHeaders.0", plain.slice(slash + 1));
  return [
    ustar(withoutEndingSlash(paxName), "", 0, body.length, "x"),
    body,
    Buffer.alloc((512 - (body.length % 512)) % 512),
    ustar(withoutEndingSlash(plain), "", 0o600, size >= 0o77777777777 ? 0 : size, "0"),
  ];
}

/** The first 100 bytes; one that would look like a folder's name then loses its slash. */
function withoutEndingSlash(name: string): string {
  return name.slice(0, 100).replace(/\/+$/, "");
}

/** A name of up to 100 bytes, or one that splits at a slash into a prefix of up to 155 and a name of up to 100. */
function splitName(name: string): { name: string; prefix: string } | undefined {
  if (name.length <= 100) return { name, prefix: "" };
  if (name.length > 256) return undefined;
  const slash = name.slice(0, 156).lastIndexOf("/");
  const rest = name.length - slash - 1;
  if (slash <= 0 || rest > 100 || rest === 0) return undefined;
  return { name: name.slice(slash + 1), prefix: name.slice(0, slash) };
}

function paxRecord(key: string, value: string): string {
  const tail = ` ${key}=${value}\n`;
  const length = Buffer.byteLength(tail);
  let total = length + String(length).length;
  if (String(total).length !== String(length).length) total = length + String(total).length;
  return `${total}${tail}`;
}

function ustar(name: string, prefix: string, mode: number, size: number, kind: "0" | "x"): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, offset: number, width: number) => {
    block.write(`${value.toString(8).padStart(width - 1, "0")}\0`, offset, "latin1");
  };
  block.write(name, 0, 100, "latin1");
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.fill(" ", 148, 156);
  block.write(kind, 156, "latin1");
  block.write("ustar\u000000", 257, "latin1");
  // Go leaves the device numbers out of the header of a PAX record.
  if (kind === "0") {
    octal(0, 329, 8);
    octal(0, 337, 8);
  }
  block.write(prefix, 345, 155, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** The file that an asset or archive lies in; undefined where it has its content in itself. */
function fileOf(value: PropertyMap, directory: string): string | undefined {
  if (typeof value.path === "string" && value.path !== "") {
    return isAbsolute(value.path) ? value.path : resolve(directory, value.path);
  }
  if (typeof value.uri !== "string" || value.uri === "") return undefined;
  if (value.uri.startsWith("file://")) return fileURLToPath(value.uri);
  throw new EngineError(
    "assets from a URL are not supported by the embedded engine: download the file and give its path, or use the Pulumi CLI",
  );
}

function isArchiveFile(path: string): boolean {
  return archiveEndings.some((ending) => path.endsWith(ending));
}

function text(value: Value | undefined): string {
  return typeof value === "string" ? value : "";
}

function byBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
