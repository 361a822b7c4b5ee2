/** A folder as a .tar.gz whose bytes depend on names, modes and contents alone. */
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const blockSize = 512;

/** @param prefix the folder's name in the archive */
export function archiveOf(directory: string, prefix: string): Buffer {
  const blocks: Buffer[] = [];
  for (const name of ["", ...entriesOf(directory)]) {
    const status = lstatSync(join(directory, name));
    if (status.isDirectory()) blocks.push(header(join(prefix, name, "/"), 0o755, 0, "5"));
    else {
      const content = readFileSync(join(directory, name));
      blocks.push(header(join(prefix, name), status.mode & 0o111 ? 0o755 : 0o644, content.length, "0"), content);
      blocks.push(Buffer.alloc((blockSize - (content.length % blockSize)) % blockSize));
    }
  }
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * blockSize)]));
}

function entriesOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).sort();
}

/** POSIX ustar; owned by root, as old as time itself. */
function header(name: string, mode: number, size: number, kind: "0" | "5"): Buffer {
  if (Buffer.byteLength(name) > 100) throw new Error(`${name} is too long for an archive`);
  const block = Buffer.alloc(blockSize);
  const octal = (value: number, offset: number, width: number) =>
    block.write(value.toString(8).padStart(width - 1, "0"), offset, "latin1");
  block.write(name, 0, "utf8");
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.write("        ", 148, "latin1");
  block.write(kind, 156, "latin1");
  block.write("ustar\u000000", 257, "latin1");
  block.write(
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
    148,
    "latin1",
  );
  return block;
}
