// The head of the last request of a connection: many clients send the same one again and again.
import { type HeadRules, incomplete, maxHeadBytes, type RequestHead, readRequestHead } from "./request-head.ts";

/** Most heads, with a small body. */
const firstLookBytes = 1024;
/** Then it is no client that sends the same head again. */
const maxChanges = 4;

export class HeadMemory {
  #head: RequestHead | undefined = undefined;
  #bytes: Buffer | undefined = undefined;
  /** So many times in a row the head was another one. */
  #changes = 0;

  /** As `readRequestHead`: undefined is not plain. */
  read(bytes: Buffer, rules: HeadRules): ReturnType<typeof readRequestHead> {
    const size = bytes.length;
    const last = this.#head;
    const lastBytes = this.#bytes;
    if (last !== undefined && lastBytes !== undefined && size >= last.bytes) {
      if (bytes.compare(lastBytes, 0, last.bytes, 0, last.bytes) === 0) {
        this.#changes = 0;
        return last;
      }
      this.#changes += 1;
    }
    let head = readRequestHead(bytes, bytes.toString("latin1", 0, Math.min(size, firstLookBytes)), rules);
    if (head === incomplete && size > firstLookBytes)
      head = readRequestHead(bytes, bytes.toString("latin1", 0, Math.min(size, maxHeadBytes)), rules);
    if (head === undefined || head === incomplete) return head;
    if (this.#changes < maxChanges) {
      this.#head = head;
      // Memory of its own: one of Node's shared pieces of 64 KB would be kept for each connection.
      this.#bytes = Buffer.allocUnsafeSlow(head.bytes);
      bytes.copy(this.#bytes, 0, 0, head.bytes);
    } else this.#head = this.#bytes = undefined;
    return head;
  }
}
