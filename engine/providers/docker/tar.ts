/** Writes tar streams: files with their modes, folders and links, all owned by root. */
export interface TarEntry {
  name: string;
  mode: number;
  modified: Date;
  /** Bytes, or a stream of `size` bytes. */
  content?: Buffer | (() => AsyncIterable<Buffer>);
  size?: number;
  folder?: boolean;
  link?: string;
}

const blockSize = 512;

export async function* tarArchive(entries: Iterable<TarEntry> | AsyncIterable<TarEntry>): AsyncGenerator<Buffer> {
  for await (const entry of entries) {
    const name = entry.folder ? `${entry.name.replace(/\/+$/, "")}/` : entry.name;
    const size = Buffer.isBuffer(entry.content) ? entry.content.length : (entry.size ?? 0);
    const records: string[] = [];
    if (Buffer.byteLength(name) > 100 || /[^\x20-\x7e]/.test(name)) records.push(paxRecord("path", name));
    const link = entry.link ?? "";
    if (Buffer.byteLength(link) > 100 || /[^\x20-\x7e]/.test(link)) records.push(paxRecord("linkpath", link));
    if (size >= 8 ** 11) records.push(paxRecord("size", String(size)));
    if (records.length > 0) {
      const body = Buffer.from(records.join(""));
      yield header("PaxHeaders.0/entry", 0o644, body.length, entry.modified, "x", "");
      yield padded(body);
    }
    const kind = entry.folder ? "5" : entry.link === undefined ? "0" : "2";
    yield header(name, entry.mode, size >= 8 ** 11 ? 0 : size, entry.modified, kind, link);
    if (Buffer.isBuffer(entry.content)) yield padded(entry.content);
    else if (entry.content) yield* exactly(entry.content(), size, entry.name);
  }
  yield Buffer.alloc(2 * blockSize);
}

/** A file that grows or shrinks while it is read must not shift all that follows. */
async function* exactly(content: AsyncIterable<Buffer>, size: number, name: string): AsyncGenerator<Buffer> {
  let sent = 0;
  for await (const chunk of content) {
    const part = chunk.subarray(0, size - sent);
    sent += part.length;
    yield part;
    if (sent === size) break;
  }
  if (sent < size) throw new Error(`${name} became shorter while it was read`);
  const rest = (blockSize - (size % blockSize)) % blockSize;
  if (rest > 0) yield Buffer.alloc(rest);
}

function padded(content: Buffer): Buffer {
  const rest = (blockSize - (content.length % blockSize)) % blockSize;
  return rest === 0 ? content : Buffer.concat([content, Buffer.alloc(rest)]);
}

function paxRecord(key: string, value: string): string {
  const body = ` ${key}=${value}\n`;
  const length = Buffer.byteLength(body);
  let total = length + String(length).length;
  if (String(total).length > String(length).length) total = length + String(total).length;
  return total + body;
}

function header(name: string, mode: number, size: number, modified: Date, kind: string, link: string): Buffer {
  const block = Buffer.alloc(blockSize);
  const octal = (value: number, offset: number, width: number) => {
    block.write(`${value.toString(8).padStart(width - 1, "0")}\0`, offset, "latin1");
  };
  block.write(asciiOf(name), 0, 100, "latin1");
  octal(mode & 0o7777, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(Math.max(0, Math.floor(modified.getTime() / 1000)), 136, 12);
  block.write("        ", 148, "latin1");
  block.write(kind, 156, "latin1");
  block.write(asciiOf(link), 157, 100, "latin1");
  block.write("ustar\u000000", 257, "latin1");
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** For readers that do not know the record before it. */
function asciiOf(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, "_").slice(0, 100);
}
