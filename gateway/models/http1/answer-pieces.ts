// Copies of the pieces of an answer: those of one whose length is known lie side by side, so that they need not be put together.
import { takeRoom } from "./rooms.ts";

/** Longer ones are not collected by anybody. */
const maxTogether = 1024 * 1024;

export class AnswerPieces {
  #length = 0;
  #room: Buffer | undefined = undefined;
  #used = 0;

  /** An answer begins; NaN where its length is not known. */
  expect(length: number): void {
    this.#length = length <= maxTogether ? length : 0;
    this.#room = undefined;
    this.#used = 0;
  }

  copy(piece: Buffer): Buffer {
    const size = piece.length;
    const room = this.#room;
    if (room === undefined) {
      // A length alone must not take memory.
      const isWorthIt = this.#used === 0 && size <= this.#length && size >= this.#length / 4;
      const made = isWorthIt ? takeRoom(this.#length) : Buffer.allocUnsafe(size);
      made.set(piece);
      this.#used = size;
      if (made.length === size) return made;
      this.#room = made;
      return made.subarray(0, size);
    }
    const end = this.#used + size;
    if (end > room.length) return Buffer.from(piece);
    room.set(piece, this.#used);
    const copy = room.subarray(this.#used, end);
    this.#used = end;
    if (end === room.length) this.#room = undefined;
    return copy;
  }
}

/** As `Buffer.concat`, without a copy where they lie side by side. */
export function joined(first: Buffer, more: readonly Buffer[], length: number): Buffer {
  let end = first.byteOffset + first.length;
  for (const piece of more) {
    if (piece.buffer !== first.buffer || piece.byteOffset !== end) return Buffer.concat([first, ...more], length);
    end += piece.length;
  }
  return Buffer.from(first.buffer, first.byteOffset, length);
}
