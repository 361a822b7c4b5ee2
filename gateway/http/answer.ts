// The answer to one request as those who write it see it, whichever reader of HTTP the request came through.
import type { Socket } from "node:net";
import type { AnswerHeaders } from "../models/answer-headers.ts";

/** All that is written goes out in order. After `destroy`, or once the client left, writing does nothing. */
export interface ClientAnswer {
  /** The head is written. */
  readonly begun: boolean;
  /** Of the head; 0 before. */
  readonly status: number;
  /** The client has left, or the connection was broken from here. */
  readonly gone: boolean;
  /** All of the answer is handed to the system. */
  readonly finished: boolean;
  /** Bytes that the client has not taken yet. */
  readonly waitingBytes: number;
  /** HTTP/1.1: a body without a known length may come in chunks. */
  readonly mayChunk: boolean;
  /**
   * A whole answer, in one piece where that is possible. Names of headers in lower case; content-length is added.
   */
  send(status: number, headers: AnswerHeaders, body: Buffer): void;
  /**
   * Begins an answer that is written piece by piece. Without content-length among the headers it is chunked, or ends with the
   * connection where the client cannot read chunks. The head goes out at once.
   */
  begin(status: number, headers: AnswerHeaders): void;
  /** False: the client reads more slowly; `onDrain` tells when there is room. */
  write(bytes: Buffer): boolean;
  /** The answer is whole. */
  end(): void;
  /** Breaks the connection, after what was written so far: the client sees that the answer is not whole. */
  breakOff(): void;
  /** Breaks the connection at once. */
  destroy(): void;
  /** The connection ends after this answer, and its head says so; nothing where the head is out. */
  closeAfter(): void;
  /** Undefined once the answer has nothing to do with it any more. */
  readonly socket: Socket | undefined;
  /** Called once, when the answer is finished or the client has left. */
  onClose: (() => void) | undefined;
  /** There is room again. */
  onDrain: (() => void) | undefined;
}
