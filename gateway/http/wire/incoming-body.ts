// The body of one request, put together as its bytes come.
import { giveRoomBack, takeRoom } from "../../models/http1/rooms.ts";

/** Room for more is made when so much has come. */
const firstRoom = 64 * 1024;

export class IncomingBody {
  /** Bytes that have not come yet. */
  missing = 0;
  /** Bytes that were kept. */
  have = 0;
  #length = 0;
  #room: Buffer | undefined = undefined;
  /** What was given away. */
  #given: Buffer | undefined = undefined;

  expect(length: number): void {
    this.missing = length;
    this.have = 0;
    this.#length = length;
    this.#room = undefined;
    this.#given = undefined;
  }

  /** Takes what belongs to it, and gives how many bytes those were. Not kept: they are read over. */
  take(bytes: Buffer, isKept: boolean): number {
    const part = bytes.length > this.missing ? bytes.subarray(0, this.missing) : bytes;
    this.missing -= part.length;
    if (isKept) this.#keep(part);
    return part.length;
  }

  /** What was kept: all of it, once nothing is missing. */
  give(): Buffer | undefined {
    const room = this.#room;
    this.#room = undefined;
    this.#given = room;
    return room;
  }

  /** A whole one, of which a copy is given. */
  copyOf(bytes: Buffer): Buffer {
    const room = takeRoom(bytes.length);
    room.set(bytes);
    this.#given = room;
    return room;
  }

  /** The request is served: nobody reads its body any more, or is still sent it. */
  release(): void {
    giveRoomBack(this.#given);
    this.forget();
  }

  /** Nobody will ask for it. */
  forget(): void {
    this.#room = undefined;
    this.#given = undefined;
  }

  /** A length alone must not take memory. */
  #keep(part: Buffer): void {
    const length = this.#length;
    const before = this.have;
    this.have = before + part.length;
    if (this.#room === undefined || this.have > this.#room.length) {
      const larger = takeRoom(Math.min(length, Math.max(2 * this.have, firstRoom)));
      this.#room?.copy(larger, 0, 0, before);
      giveRoomBack(this.#room);
      this.#room = larger;
    }
    part.copy(this.#room, before);
  }
}
