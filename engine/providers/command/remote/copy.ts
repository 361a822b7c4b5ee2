/** Copies an asset or archive to a host, with the official provider's rules for what becomes of the names. */
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { basename, posix, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { archiveEntries } from "../../../assets.ts";
import { isArchive, isMap, type PropertyMap, type Value } from "../../../values.ts";
import { fileError, messageOf, sftpError } from "./errors.ts";
import { chunkBytes, type RemoteFile, type RemoteFiles } from "./sftp.ts";

/** So many writes are under way at once: 1 MB, which fills a line of 100 Mbit/s and 80 ms. */
const writesAtOnce = 32;

/** Paths of the source are relative to `directory`. */
export async function copySource(files: RemoteFiles, source: Value, remotePath: string, directory: string): Promise<void> {
  if (!isMap(source)) throw new Error("either asset or archive must be set");
  const path = pathOf(source);
  if (path !== undefined) return await copyPath(files, path, remotePath, directory);
  const content = typeof source.text === "string" ? source.text : "";
  if (isArchive(source)) return await copyMembers(files, source, remotePath, directory);
  const found = await files.stat(remotePath);
  if (found?.isDirectory) {
    throw new Error(`remote path ${remotePath} is a directory; when using a text asset, remotePath must be a file path`);
  }
  await parentsOf(files, remotePath);
  await writeFile(files, Buffer.from(content), remotePath, (reason) => {
    return `failed to write text content to remote path ${remotePath}: ${reason}`;
  });
}

/** One file to one path, as CopyFile does it: no folder is made, and none is copied into. */
export async function copyPlainFile(files: RemoteFiles, path: string, remotePath: string, directory: string): Promise<void> {
  await writeFrom(files, { given: path, absolute: resolve(directory, path) }, remotePath);
}

function pathOf(source: PropertyMap): string | undefined {
  if (typeof source.path === "string" && source.path !== "") return source.path;
  if (typeof source.uri !== "string" || source.uri === "") return undefined;
  if (source.uri.startsWith("file://")) return fileURLToPath(source.uri);
  throw new Error(`source: ${source.uri} cannot be copied by the embedded provider: download the file and give its path`);
}

/**
 * source | there is a folder    | there is nothing | there is a file
 * dir    | into folder/dir      | into path/dir    | error
 * dir/   | into folder          | into path        | error
 * file   | folder/file          | path             | overwritten
 */
async function copyPath(files: RemoteFiles, given: string, remotePath: string, directory: string): Promise<void> {
  const absolute = resolve(directory, given);
  const info = await stat(absolute).catch((error: unknown) => {
    throw new Error(fileError(error, "open", given), { cause: error });
  });
  const found = await files.stat(remotePath);
  if (!info.isDirectory()) {
    if (found?.isDirectory) return await writeFrom(files, { given, absolute }, posix.join(remotePath, basename(given)));
    if (!found) await parentsOf(files, remotePath);
    return await writeFrom(files, { given, absolute }, remotePath);
  }
  if (!found) await folders(files, remotePath);
  const into = given.endsWith("/") ? remotePath : posix.join(remotePath, basename(given));
  await copyFolder(files, { given, absolute }, into);
}

interface LocalPath {
  /** As the user gave it, for messages. */
  given: string;
  absolute: string;
}

async function copyFolder(files: RemoteFiles, from: LocalPath, to: string): Promise<void> {
  const found = await files.stat(to);
  if (found && !found.isDirectory) throw new Error(`remote path ${to} exists but is not a directory`);
  if (!found) {
    await files.makeFolder(to).catch((error: unknown) => {
      throw new Error(`failed to create remote directory ${to}: ${sftpError(error)}`, { cause: error });
    });
  }
  const entries = await readdir(from.absolute, { withFileTypes: true }).catch((error: unknown) => {
    throw new Error(fileError(error, "open", from.given), { cause: error });
  });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const inner = { given: posix.join(from.given, entry.name), absolute: resolve(from.absolute, entry.name) };
    const target = posix.join(to, entry.name);
    if (entry.isDirectory()) await copyFolder(files, inner, target);
    else await writeFrom(files, inner, target);
  }
}

/** The members of an archive that is put together from assets. */
async function copyMembers(files: RemoteFiles, archive: PropertyMap, remotePath: string, directory: string): Promise<void> {
  const found = await files.stat(remotePath);
  if (found && !found.isDirectory) {
    throw new Error(`remote path ${remotePath} exists but is not a directory; cannot copy asset archive contents`);
  }
  if (!found) await folders(files, remotePath);
  for (const { name, source } of await archiveEntries(archive, directory)) {
    const target = posix.join(remotePath, name);
    await parentsOf(files, target);
    if (typeof source === "string") await writeFrom(files, { given: source, absolute: source }, target);
    else await writeFile(files, source, target, (reason) => `failed to copy archive entry to ${target}: ${reason}`);
  }
}

async function folders(files: RemoteFiles, path: string): Promise<void> {
  await files.makeFolders(path).catch((error: unknown) => {
    throw new Error(`failed to create remote directory ${path}: ${sftpError(error)}`, { cause: error });
  });
}

async function parentsOf(files: RemoteFiles, path: string): Promise<void> {
  await files.makeFolders(posix.dirname(path)).catch((error: unknown) => {
    throw new Error(`failed to create parent directories for ${path}: ${sftpError(error)}`, { cause: error });
  });
}

async function writeFrom(files: RemoteFiles, { given, absolute }: LocalPath, to: string): Promise<void> {
  let local: FileHandle;
  try {
    local = await open(absolute, "r");
  } catch (error) {
    throw new Error(fileError(error, "open", given), { cause: error });
  }
  try {
    const read = async (position: number) => {
      const chunk = Buffer.allocUnsafe(chunkBytes);
      const { bytesRead } = await local.read(chunk, 0, chunkBytes, position).catch((error: unknown) => {
        throw new Error(fileError(error, "read", given), { cause: error });
      });
      return chunk.subarray(0, bytesRead);
    };
    await write(files, read, to, (reason) => `failed to copy file ${given} to remote path ${to}: ${reason}`);
  } finally {
    await local.close();
  }
}

async function writeFile(files: RemoteFiles, bytes: Buffer, to: string, describe: (reason: string) => string): Promise<void> {
  await write(files, async (position) => bytes.subarray(position, position + chunkBytes), to, describe);
}

type Read = (position: number) => Promise<Buffer>;

async function write(files: RemoteFiles, read: Read, to: string, describe: (reason: string) => string): Promise<void> {
  let file: RemoteFile;
  try {
    file = await files.create(to);
  } catch (error) {
    throw new Error(`failed to create remote file ${to}: ${sftpError(error)}`, { cause: error });
  }
  try {
    await fill(file, read);
    await file.close();
  } catch (error) {
    await file.close().catch(() => {});
    throw new Error(describe(error instanceof Error && "code" in error ? sftpError(error) : messageOf(error)), {
      cause: error,
    });
  }
}

async function fill(file: RemoteFile, read: Read): Promise<void> {
  const underWay = new Set<Promise<void>>();
  const failures: unknown[] = [];
  for (let position = 0; failures.length === 0; ) {
    const chunk = await read(position);
    if (chunk.length === 0) break;
    const written = file.write(chunk, position).then(
      () => {
        underWay.delete(written);
      },
      (error: unknown) => {
        underWay.delete(written);
        failures.push(error);
      },
    );
    underWay.add(written);
    position += chunk.length;
    if (underWay.size >= writesAtOnce) await Promise.race(underWay);
  }
  await Promise.all(underWay);
  if (failures.length > 0) throw failures[0];
}
