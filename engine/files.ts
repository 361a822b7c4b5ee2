/** Durable file operations for the state, and plain words for what the operating system refuses. */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Writes by temporary file, fsync, rename and fsync of the folder: the old content or the new one is there, never a part. */
export async function writeDurably(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const temporary = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  try {
    const file = await open(temporary, "wx", mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The sidecar that the CLI's storage layer (gocloud fileblob) lays beside every file it writes. */
export function attrsOf(content: string | Uint8Array): string {
  const md5 = createHash("md5").update(content).digest("base64");
  return `${JSON.stringify({
    "user.cache_control": "",
    "user.content_disposition": "",
    "user.content_encoding": "",
    "user.content_language": "",
    "user.content_type": "text/plain; charset=utf-8",
    "user.metadata": null,
    md5,
  })}\n`;
}

export function errnoOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

const reasons: { [code: string]: string } = {
  EACCES: "permission denied; check the owner and mode of the file and its folder",
  EPERM: "operation not permitted; check the owner and mode of the file and its folder",
  EROFS: "the file system is read-only; choose a folder that can be written",
  ENOSPC: "no space left on the device; free some space and run the command again",
  EDQUOT: "the disk quota is used up; free some space and run the command again",
  EISDIR: "it is a folder, not a file; move it away",
  ENOTDIR: "a part of the path is a file, not a folder; move it away",
  ENOENT: "no such file or folder",
  EMFILE: "too many open files; raise the limit (ulimit -n)",
  ELOOP: "too many symbolic links",
  EIO: "the device reports an input/output error",
};

/** What the operating system said, in words and with what to do. */
export function explainErrno(error: unknown): string {
  const code = errnoOf(error);
  return (code && reasons[code]) ?? (error instanceof Error ? error.message : String(error));
}
