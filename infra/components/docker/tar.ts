/** A tar archive of small files, as a Docker daemon takes it. */

export interface TarFile {
  /** Relative, at most 100 bytes. */
  name: string;
  content: string;
  mode: number;
}

const blockSize = 512;

/** @param folder of all files; it is made where it is not there */
export function tarOf(folder: string, files: readonly TarFile[]): Buffer {
  const folders = new Set([folder]);
  for (const { name } of files) {
    const parts = `${folder}/${name}`.split("/").slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth++) folders.add(parts.slice(0, depth).join("/"));
  }
  const blocks = [...folders].sort().map((name) => header(`${name}/`, 0o700, 0, "5"));
  for (const { name, content, mode } of files) {
    const bytes = Buffer.from(content);
    blocks.push(header(`${folder}/${name}`, mode, bytes.length, "0"), bytes);
    blocks.push(Buffer.alloc((blockSize - (bytes.length % blockSize)) % blockSize));
  }
  return Buffer.concat([...blocks, Buffer.alloc(2 * blockSize)]);
}

/** POSIX ustar, owned by root. */
function header(name: string, mode: number, size: number, kind: "0" | "5"): Buffer {
  if (Buffer.byteLength(name) > 100) throw new Error(`${name}: the name is too long`);
  const block = Buffer.alloc(blockSize);
  const octal = (value: number, at: number, width: number) =>
    block.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at);
  block.write(name);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(Math.floor(Date.now() / 1000), 136, 12);
  block.write("        ", 148);
  block.write(kind, 156);
  block.write("ustar\0".concat("00"), 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}
