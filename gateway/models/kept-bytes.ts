// Bytes of an answer that are kept beside it, in memory of their own: pieces of a stream that stayed alive one by one would cost the
// garbage collector more than all else that is done with them.

const leastBytes = 1024;
const nothing = Buffer.alloc(0);

export class KeptBytes {
  /** All there is, where it came in one piece, or in pieces that lie side by side. */
  #whole: Buffer | undefined = undefined;
  #room: Buffer | undefined = undefined;
  #used = 0;

  get length(): number {
    return this.#used;
  }

  /** The first piece is kept as it is. */
  push(bytes: Buffer): void {
    const used = this.#used;
    const size = used + bytes.length;
    this.#used = size;
    const whole = this.#whole;
    if (used === 0 && this.#room === undefined) this.#whole = bytes;
    else if (whole !== undefined && whole.buffer === bytes.buffer && whole.byteOffset + used === bytes.byteOffset)
      this.#whole = Buffer.from(whole.buffer, whole.byteOffset, size);
    else this.#roomFor(size, used).set(bytes, used);
  }

  #roomFor(size: number, used: number): Buffer {
    const room = this.#room;
    if (room !== undefined && size <= room.length) return room;
    const made = Buffer.allocUnsafeSlow(Math.max(leastBytes, 2 * size));
    const before = this.#whole ?? room?.subarray(0, used);
    if (before) made.set(before);
    this.#whole = undefined;
    this.#room = made;
    return made;
  }

  /** Not to be held: the next piece may change it. */
  get bytes(): Buffer {
    return this.#whole ?? this.#room?.subarray(0, this.#used) ?? nothing;
  }

  keepLast(count: number): void {
    const from = this.#used - count;
    if (from <= 0) return;
    if (this.#whole) {
      // Copied, so that a large one can go.
      this.#room = Buffer.from(this.#whole.subarray(from));
      this.#whole = undefined;
    } else this.#room?.copyWithin(0, from, this.#used);
    this.#used = count;
  }

  clear(): void {
    this.#whole = undefined;
    this.#used = 0;
  }
}
