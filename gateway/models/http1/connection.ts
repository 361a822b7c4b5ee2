// One connection to an upstream: one request at a time, its answer told to the handler; used again only when nothing is in doubt.
import type { Socket } from "node:net";
import type { AnswerHeaders } from "./answer-head.ts";
import { createAnswerParser } from "./answer-parser.ts";
import { AnswerPieces } from "./answer-pieces.ts";
import { requestHead, type UpstreamRequest } from "./request-head.ts";
import { type Sender, writeTogether } from "./write-together.ts";

export interface AnswerController {
  /** Drops the connection; the handler is told nothing more. */
  abort(reason?: Error): void;
  pause(): void;
  resume(): void;
  readonly paused: boolean;
}

/** Ends with exactly one of onResponseEnd and onResponseError, unless it is aborted. */
export interface AnswerHandler {
  /** A connection is opened for this request; `drop` gives it up. */
  onConnecting?(drop: () => void): void;
  /** It has a connection, and is sent when this returns. */
  onRequestStart(controller: AnswerController): void;
  onResponseStart(controller: AnswerController, status: number, headers: AnswerHeaders): void;
  onResponseData(controller: AnswerController, chunk: Buffer): void;
  onResponseEnd(controller: AnswerController): void;
  onResponseError(controller: AnswerController | undefined, error: Error): void;
}

export interface Connection {
  /** Only when it is free. */
  send(request: UpstreamRequest, handler: AnswerHandler): void;
  /** Milliseconds of performance.now(), as of when it must not be used any more; 0 when it is closed. */
  readonly usableUntil: number;
  /** Bytes that came, where the socket does not tell them by its event. */
  receive(bytes: Buffer): void;
  destroy(): void;
}

interface Owner {
  /** It may serve another request. */
  onFree(connection: Connection): void;
  /** Once, when it is closed. */
  onGone(connection: Connection): void;
}

const idleMs = 30_000;
const maxIdleMs = 300_000;

export function createConnection(socket: Socket, owner: Owner): Connection {
  const pieces = new AnswerPieces();
  let handler: AnswerHandler | undefined;
  let keepAlive = true;
  let paused = false;
  let usableUntil = performance.now() + idleMs;
  let failure: Error | undefined;
  let keptMs = idleMs;
  /** Some of the answer to the request under way has come. */
  let heard = false;
  /** The request under way waits to be written. */
  let unsent = false;
  const sender: Sender = {
    sent() {
      unsent = false;
    },
  };

  const controller: AnswerController = {
    abort() {
      if (!handler) return;
      handler = undefined;
      destroy();
    },
    pause() {
      paused = true;
      socket.pause();
    },
    resume() {
      paused = false;
      socket.resume();
    },
    get paused() {
      return paused;
    },
  };

  const parser = createAnswerParser({
    onHead(status, headers) {
      pieces.expect(Number(headers["content-length"]));
      keptMs = keepAliveMs(headers["keep-alive"]);
      handler?.onResponseStart(controller, status, headers);
    },
    // Copied: the bytes belong to the reader of the socket.
    onData(chunk) {
      handler?.onResponseData(controller, pieces.copy(chunk));
    },
    onEnd(mayKeep) {
      const ended = handler;
      handler = undefined;
      // An answer before the request was out: the rest of it would be taken for the next one.
      const free = mayKeep && keepAlive && !unsent && socket.writableLength === 0 && !socket.destroyed && !paused;
      if (free) usableUntil = performance.now() + keptMs;
      else destroy();
      ended?.onResponseEnd(controller);
      if (free && !socket.destroyed) owner.onFree(connection);
    },
  });

  function destroy(): void {
    usableUntil = 0;
    parser.stop();
    socket.destroy();
  }

  function fail(error: Error): void {
    const failed = handler;
    handler = undefined;
    destroy();
    failed?.onResponseError(controller, error);
  }

  function receive(bytes: Buffer): void {
    heard = true;
    try {
      parser.push(bytes);
    } catch (error) {
      fail(error instanceof Error ? error : new Error(String(error)));
    }
  }
  // It also makes the socket read.
  socket.on("data", receive);
  socket.on("error", (error) => {
    failure = error;
  });
  socket.on("end", () => {
    if (!parser.end()) fail(heard ? cutShort() : closedEarly());
    destroy();
  });
  socket.on("close", () => {
    fail(heard ? cutShort() : (failure ?? closedEarly()));
    owner.onGone(connection);
  });

  const connection: Connection = {
    send(request, next) {
      handler = next;
      heard = false;
      keepAlive = request.reset !== true;
      next.onRequestStart(controller);
      // Given up in the meantime.
      if (handler !== next) return;
      handler = undefined;
      if (socket.destroyed) throw closedEarly();
      const head = requestHead(request);
      handler = next;
      parser.expect();
      unsent = true;
      writeTogether(socket, head, request.body, sender);
    },
    get usableUntil() {
      return usableUntil;
    },
    receive,
    destroy,
  };
  return connection;
}

function cutShort(): Error {
  return Object.assign(new Error("the connection was closed in the middle of the answer"), { code: "HTTP_CUT" });
}

function closedEarly(): Error {
  return Object.assign(new Error("the connection was closed before the answer was whole"), { code: "ECONNRESET" });
}

/** What the last upstream wished, and what that comes to: most wish the same in each answer. */
let lastHint: string | undefined;
let lastMs = idleMs;

/** The upstream's own wish, a second less: it begins to count earlier. */
function keepAliveMs(hint: string | undefined): number {
  if (hint === undefined) return idleMs;
  if (hint === lastHint) return lastMs;
  lastMs = readKeepAlive(hint);
  lastHint = hint;
  return lastMs;
}

function readKeepAlive(hint: string): number {
  const seconds = /\btimeout=(\d{1,6})\b/.exec(hint)?.[1];
  return seconds === undefined ? idleMs : Math.min(maxIdleMs, Math.max(0, Number(seconds) * 1000 - 1000));
}
