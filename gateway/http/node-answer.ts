// An answer that goes out through Node's own server.
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { AnswerHeaders } from "../models/answer-headers.ts";
import type { ClientAnswer } from "./answer.ts";
import { asChunk, lastChunk } from "./chunk.ts";

/** A larger body is not worth a copy. */
const maxTextBytes = 16 * 1024;

export class NodeAnswer implements ClientAnswer {
  onClose: (() => void) | undefined;
  onDrain: (() => void) | undefined;
  readonly #response: ServerResponse;
  #framed = false;
  #closed = false;

  constructor(response: ServerResponse) {
    this.#response = response;
    // Not `once`, whose wrappers each request would pay for.
    response.on("close", () => this.#close());
    response.on("drain", () => this.onDrain?.());
  }

  get begun(): boolean {
    return this.#response.headersSent;
  }
  get status(): number {
    return this.#response.headersSent ? this.#response.statusCode : 0;
  }
  get gone(): boolean {
    return this.#response.destroyed;
  }
  get finished(): boolean {
    return this.#response.writableFinished;
  }
  get waitingBytes(): number {
    return this.#response.writableLength;
  }
  get mayChunk(): boolean {
    return this.#response.useChunkedEncodingByDefault;
  }
  get socket(): Socket | undefined {
    return this.#response.socket ?? undefined;
  }

  send(status: number, headers: AnswerHeaders, body: Buffer): void {
    const response = this.#response;
    response.writeHead(status, { ...headers.toObject(), "content-length": String(body.length) });
    // As text Node sends it together with the head.
    if (body.length <= maxTextBytes) response.end(body.toString("latin1"), "latin1");
    else response.end(body);
  }

  begin(status: number, headers: AnswerHeaders): void {
    const response = this.#response;
    const isChunked = headers.get("content-length") === undefined && this.mayChunk;
    response.writeHead(status, { ...headers.toObject(), ...(isChunked ? { "transfer-encoding": "chunked" } : {}) });
    // Chunks are framed here: Node makes three pieces of each.
    this.#framed = response.chunkedEncoding;
    if (this.#framed) response.chunkedEncoding = false;
    // Without this the head waits for the first bytes of the body.
    response.flushHeaders();
  }

  write(bytes: Buffer): boolean {
    return this.#response.write(this.#framed ? asChunk(bytes) : bytes);
  }

  end(): void {
    if (this.#framed) this.#response.end(lastChunk);
    else this.#response.end();
  }

  breakOff(): void {
    this.#response.write("", () => this.#response.destroy());
  }

  destroy(): void {
    this.#response.destroy();
  }

  closeAfter(): void {
    if (!this.#response.headersSent) this.#response.shouldKeepAlive = false;
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onClose?.();
  }
}
