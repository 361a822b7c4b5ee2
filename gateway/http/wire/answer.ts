// A plain request and its answer, as those who serve it see them; the bytes come from and go to its connection.
import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import type { AnswerHeaders } from "../../models/answer-headers.ts";
import { flush, type Sender, writePiece } from "../../models/http1/write-together.ts";
import type { ClientAnswer } from "../answer.ts";
import { asChunk, lastChunk, sizeLine } from "../chunk.ts";
import { type HeadEnds, headerLines, statusLine } from "./answer-head.ts";
import type { RequestHead } from "./request-head.ts";

export interface PlainRequest {
  readonly url: string;
  /** Of every header one value; names in lower case. */
  readonly headers: IncomingHttpHeaders;
  readonly remoteAddress: string;
  readonly contentLength: number;
  /** Once, when the whole body is there; never when the client leaves before. To be called at most once. */
  readBody(done: (body: Buffer) => void): void;
  readonly answer: ClientAnswer;
}

/** What the answer needs of its connection. */
export interface Line {
  readonly socket: Socket;
  readonly remoteAddress: string;
  /** The connection may serve another request after this one. */
  readonly mayStay: boolean;
  readonly headEnds: HeadEnds;
  /** What is written is handed over at once where the system has room for it. */
  readonly writesAtOnce: boolean;
  /** Somebody waits for the body. */
  wanted(): void;
  /** The whole answer, to be written. */
  answer(exchange: Exchange, stays: boolean, head: string, body: Buffer | undefined): void;
  /** All of the answer was written. */
  ended(exchange: Exchange, stays: boolean): void;
  /** To be closed once what was written is handed over. */
  breakOff(): void;
}

export class Exchange implements PlainRequest, ClientAnswer, Sender {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly contentLength: number;
  begun = false;
  status = 0;
  gone = false;
  finished = false;
  onClose: (() => void) | undefined = undefined;
  onDrain: (() => void) | undefined = undefined;
  readonly mayChunk = true;
  readonly #line: Line;
  /** No other request is served on this connection. */
  #isLast: boolean;
  #stays = false;
  #ended = false;
  /** Pieces wait for those of others, to be written with them. */
  #waits = false;
  #isLate = false;
  /** Body bytes to be written; -1: they are chunked. */
  #left = 0;
  #body: Buffer | undefined = undefined;
  #onBody: ((body: Buffer) => void) | undefined = undefined;

  constructor(line: Line, head: RequestHead) {
    this.#line = line;
    this.url = head.url;
    this.headers = head.headers;
    this.contentLength = head.contentLength;
    this.#isLast = head.close;
  }

  get answer(): this {
    return this;
  }
  get socket(): Socket | undefined {
    return this.finished || this.gone ? undefined : this.#line.socket;
  }
  get remoteAddress(): string {
    return this.#line.remoteAddress;
  }
  get waitingBytes(): number {
    if (this.finished || this.gone) return 0;
    return this.#line.socket.writableLength + (this.#waits ? 1 : 0);
  }
  /** The system took some of what was written, and will take the rest. */
  get isLate(): boolean {
    return this.#isLate;
  }

  readBody(done: (body: Buffer) => void): void {
    const body = this.#body;
    if (body !== undefined) {
      this.#body = undefined;
      done(body);
      return;
    }
    this.#onBody = done;
    this.#line.wanted();
  }

  get isBodyWanted(): boolean {
    return this.#onBody !== undefined;
  }

  /** The connection has the whole body. */
  takeBody(body: Buffer): void {
    const done = this.#onBody;
    if (done === undefined) {
      this.#body = body;
      return;
    }
    this.#onBody = undefined;
    if (!this.gone) done(body);
  }

  send(status: number, headers: AnswerHeaders, body: Buffer): void {
    if (this.gone) return;
    const isBare = hasNoBody(status);
    const bytes = isBare ? 0 : body.length;
    const head = this.#head(status, headers, isBare ? "" : `content-length: ${bytes}\r\n`);
    this.#ended = true;
    this.#line.answer(this, this.#stays, head, isBare ? undefined : body);
  }

  begin(status: number, headers: AnswerHeaders): void {
    if (this.gone) return;
    const length = headers.get("content-length");
    const isBare = hasNoBody(status);
    const left = isBare ? 0 : length === undefined ? -1 : Number(length);
    if (left !== -1 && !(Number.isSafeInteger(left) && left >= 0)) throw new TypeError("content-length is no number of bytes");
    const framing = isBare ? "" : left === -1 ? "Transfer-Encoding: chunked\r\n" : `content-length: ${left}\r\n`;
    const head = this.#head(status, headers, framing);
    this.#left = left;
    if (!this.#gather(head, nothing, "")) this.#line.socket.write(head, "latin1");
  }

  write(bytes: Buffer): boolean {
    if (this.gone || this.#ended || !this.begun || bytes.length === 0) return true;
    if (this.#left === -1) return this.#put(sizeLine(bytes.length), bytes, "\r\n");
    if (bytes.length > this.#left) {
      // The rest would be read as the next answer.
      this.breakOff();
      return true;
    }
    this.#left -= bytes.length;
    return this.#put("", bytes, "");
  }

  /** Where nothing is held back, with the pieces of other streams: most of them come in the same turn of the event loop. */
  #put(before: string, bytes: Buffer, after: string): boolean {
    if (this.#gather(before, bytes, after)) return true;
    if (this.#waits) flush();
    return this.#line.socket.write(before === "" ? bytes : asChunk(bytes)) && !this.#isLate;
  }

  #gather(before: string, bytes: Buffer, after: string): boolean {
    const { socket, writesAtOnce } = this.#line;
    if (!writesAtOnce || this.#isLate || socket.writableLength > 0) return false;
    const isTaken = writePiece(socket, before, bytes, after, this);
    if (isTaken) this.#waits = true;
    return isTaken;
  }

  sent(): void {
    this.#waits = false;
    if (!this.#isLate) return;
    this.#isLate = false;
    if (this.#line.socket.writableLength === 0) this.drained();
  }

  late(): void {
    this.#isLate = true;
  }

  end(): void {
    if (this.gone || this.#ended || !this.begun) return;
    if (this.#left > 0) {
      this.breakOff();
      return;
    }
    if (this.#left === -1) this.#put("", lastChunk, "");
    if (this.#waits) flush();
    this.#ended = true;
    this.#line.ended(this, this.#stays);
  }

  breakOff(): void {
    if (this.gone || this.finished) return;
    if (this.#waits) flush();
    this.gone = true;
    this.#line.breakOff();
  }

  destroy(): void {
    if (this.gone || this.finished) return;
    if (this.#waits) flush();
    this.gone = true;
    this.#line.socket.destroy();
  }

  /** Not once the head has said that it stays: the client's next request may be on its way. */
  closeAfter(): void {
    this.#isLast = true;
  }

  /** The connection can take more. */
  drained(): void {
    if (this.begun && !this.#ended && !this.gone) this.onDrain?.();
  }

  /** The connection is done with it: all is handed over, or nothing more will be. */
  close(isWhole: boolean): void {
    if (isWhole) this.finished = true;
    else this.gone = true;
    this.#body = undefined;
    this.#onBody = undefined;
    const { onClose } = this;
    this.onClose = undefined;
    this.onDrain = undefined;
    onClose?.();
  }

  #head(status: number, headers: AnswerHeaders, framing: string): string {
    if (this.begun) throw new Error("The answer has begun already.");
    const lines = headerLines(headers);
    this.begun = true;
    this.status = status;
    const line = this.#line;
    this.#stays = !this.#isLast && line.mayStay && headers.get("connection") !== "close";
    return `${statusLine(status)}${lines}${framing}${this.#stays ? line.headEnds.keep : line.headEnds.close}`;
  }
}

const nothing = Buffer.alloc(0);

const hasNoBody = (status: number): boolean => status === 204 || status === 304;
