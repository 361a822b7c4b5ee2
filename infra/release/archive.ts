/**
 * A folder as a .tar.gz whose bytes depend on names, modes and contents alone. It is made of several gzip members, which
 * unpack as one (RFC 1952, 2.2): so a large file that rarely changes is compressed once, and not for each archive.
 */
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const blockSize = 512;

/**
 * @param prefix the folder's name in the archive
 * @param members by file name: what `memberOf` made of that file's content
 */
export function archiveOf(directory: string, prefix: string, members: { readonly [name: string]: Buffer } = {}): Buffer {
  const finished: Buffer[] = [];
  let blocks: Buffer[] = [];
  for (const name of ["", ...readdirSync(directory, { recursive: true, encoding: "utf8" }).sort()]) {
    const status = lstatSync(join(directory, name));
    if (status.isDirectory()) {
      blocks.push(header(join(prefix, name, "/"), 0o755, 0, "5"));
      continue;
    }
    blocks.push(header(join(prefix, name), status.mode & 0o111 ? 0o755 : 0o644, status.size, "0"));
    const member = members[name];
    if (member) {
      finished.push(gzipSync(Buffer.concat(blocks)), member);
      blocks = [];
    } else blocks.push(padded(readFileSync(join(directory, name))));
  }
  return Buffer.concat([...finished, gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * blockSize)]))]);
}

/** A file's content as it is in an archive, compressed. */
export const memberOf = (content: Buffer): Buffer => gzipSync(padded(content));

function padded(content: Buffer): Buffer {
  const rest = content.length % blockSize;
  return rest === 0 ? content : Buffer.concat([content, Buffer.alloc(blockSize - rest)]);
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
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
