// Memory of large bodies, used again. Made anew for each, it would count as growth of V8's heap, which is then marked all over
// several times a second.

/** Smaller ones are young objects that cost little. */
const minBytes = 16 * 1024;
const stepBytes = 32 * 1024;
const maxSteps = 8;
const maxSpareBytes = 4 * 1024 * 1024;

/** By their size in steps. */
const spare: ArrayBuffer[][] = Array.from({ length: maxSteps + 1 }, () => []);
let spareBytes = 0;
/** Those that are out. */
const out = new WeakSet<ArrayBufferLike>();

/** What is in it is what was there before: all of it is to be written before anybody reads it. */
export function takeRoom(bytes: number): Buffer {
  if (bytes < minBytes || bytes > maxSteps * stepBytes) return Buffer.allocUnsafe(bytes);
  const size = Math.ceil(bytes / stepBytes) * stepBytes;
  const known = spare[size / stepBytes]?.pop();
  if (known) spareBytes -= size;
  const memory = known ?? new ArrayBuffer(size);
  out.add(memory);
  return Buffer.from(memory, 0, bytes);
}

/**
 * Nobody needs the room, or a view of it, any more; what is no room is left alone, and one that is never given back is the collector's.
 * Whoever holds it all the same finds it empty, and never sees what comes into it next. Not while the system still writes from it.
 */
export function giveRoomBack(room: Buffer | undefined): void {
  // Asked first: to ask a small buffer for what it lies in takes Node longer than all else here.
  if (room === undefined || room.length < minBytes) return;
  const { buffer } = room;
  if (!(buffer instanceof ArrayBuffer) || !out.delete(buffer)) return;
  const size = buffer.byteLength;
  if (spareBytes + size > maxSpareBytes) return;
  spare[size / stepBytes]?.push(buffer.transfer());
  spareBytes += size;
}
