// One connection whose requests are plain so far: one is served at a time. The first that is not plain goes to node:http, and the
// connection with it, as if nobody had looked at it.
import type { Server as HttpServer } from "node:http";
import type { Socket } from "node:net";
import { giveRoomBack } from "../../models/http1/rooms.ts";
import { flush, type Sender, writeAtOnce, writeTogether } from "../../models/http1/write-together.ts";
import { Exchange, type Line } from "./answer.ts";
import type { HeadEnds } from "./answer-head.ts";
import { cutShort, tooSlow } from "./faults.ts";
import { HeadMemory } from "./head-memory.ts";
import { IncomingBody } from "./incoming-body.ts";
import type { WireOptions } from "./options.ts";
import { readInto } from "./read-into.ts";
import { incomplete, maxHeadBytes } from "./request-head.ts";
import { answering, closing, fresh, idle, inBody, inHead, leaving, over } from "./states.ts";

/** What all connections of a server have in common. */
export interface Front {
  readonly server: HttpServer;
  readonly options: WireOptions;
  /** Milliseconds of performance.now(), as of the last sweep. */
  readonly now: number;
  readonly headEnds: HeadEnds;
  readonly writesAtOnce: boolean;
  /** What connections read into, one after the other. */
  readonly received: Buffer | undefined;
  /** Gives the socket to node:http. */
  handOver(socket: Socket): void;
  /** It is no longer this front's. */
  onGone(connection: Connection): void;
}

/** Of later requests, and of a body that nobody has asked for; not less than what is read at once. */
const maxHeldBytes = 128 * 1024;
/** A client that does not take the end of what was written, or does not close its side. */
const maxLeavingMs = 30_000;
/** A client whose next request is on its way just when the time is over should not see a reset: node:http has the same. */
const keepAliveGraceMs = 1000;
/** How old `now` may be. */
export const sweepMs = 500;
const nothing = Buffer.alloc(0);
const ignore = (): void => undefined;

export class Connection implements Line, Sender {
  readonly socket: Socket;
  readonly remoteAddress: string;
  readonly #front: Front;
  #state = fresh;
  #since: number;
  #exchange: Exchange | undefined = undefined;
  /** What came and was not looked at, or is the beginning of a head. */
  #held: Buffer | undefined = undefined;
  readonly #body = new IncomingBody();
  readonly #head = new HeadMemory();
  /** The bytes that are looked at are gone when this turn is over. */
  #isBorrowed = false;
  #paused = false;
  #stays = true;
  /** Of the answer under way. */
  #answerBody: Buffer | undefined = undefined;
  /** The answer waits for others, to be written with them. */
  #unsent = false;
  readonly #onData = (bytes: Buffer): void => this.#receive(bytes);
  readonly #onRead = (bytes: Buffer): boolean => this.#borrow(bytes);
  readonly #onEnd = (): void => this.#leftBehind();
  readonly #onError = (error: Error): void => this.#fail(error);
  readonly #onClose = (): void => this.#closed();
  readonly #onDrain = (): void => this.#exchange?.drained();
  readonly #onFlushed = (error?: Error | null): void => {
    if (!error) this.#settleSoon();
  };

  constructor(front: Front, socket: Socket) {
    this.#front = front;
    this.socket = socket;
    this.remoteAddress = socket.remoteAddress ?? "";
    this.#since = front.now;
    if (front.received) readInto(socket, front.received, this.#onRead);
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("error", this.#onError);
    socket.on("close", this.#onClose);
    socket.on("drain", this.#onDrain);
  }

  get mayStay(): boolean {
    const { options, server } = this.#front;
    return server.listening && options.ready();
  }
  get headEnds(): HeadEnds {
    return this.#front.headEnds;
  }
  get writesAtOnce(): boolean {
    return this.#front.writesAtOnce;
  }
  /** Nothing has come since the last answer. */
  get isIdle(): boolean {
    return this.#state === idle;
  }

  /** False: whoever has the connection now wants no more. */
  #borrow(bytes: Buffer): boolean {
    // Node's own, for instance what became a WebSocket.
    if (this.#state === over) return this.socket.push(Buffer.from(bytes));
    this.#isBorrowed = true;
    this.#receive(bytes);
    if (this.#held !== undefined) this.#held = this.#own(this.#held);
    this.#isBorrowed = false;
    return true;
  }

  #own(bytes: Buffer): Buffer {
    return this.#isBorrowed ? copyOf(bytes) : bytes;
  }

  #receive(bytes: Buffer): void {
    if (this.#unsent) flush();
    if (this.#state >= leaving) return;
    let rest: Buffer | undefined = bytes;
    if (this.#body.missing > 0) rest = this.#takeBody(bytes);
    if (rest === undefined) return;
    this.#held = this.#held === undefined ? rest : Buffer.concat([this.#held, rest]);
    if (this.#exchange === undefined && this.#body.missing === 0) this.#next();
    else {
      // What came with the end of the last body is not to pile up.
      if (this.#unsent) flush();
      // Not held back: a client that leaves is not heard of while nothing is read.
      if (this.#exchange !== undefined && (this.#held?.length ?? 0) > maxHeldBytes) this.#flooded();
    }
  }

  /** Requests without end, while the first one is under way. */
  #flooded(): void {
    this.#front.options.onFlood?.();
    this.socket.destroy();
  }

  /** No request is under way: the next one may be. */
  #next(): void {
    const bytes = this.#held;
    if (bytes === undefined) {
      this.#state = idle;
      this.#since = this.#front.now;
      return;
    }
    const { options } = this.#front;
    const size = bytes.length;
    const head = this.#head.read(bytes, options);
    if (head === incomplete && size < maxHeadBytes) {
      if (this.#state !== inHead) {
        this.#state = inHead;
        this.#since = this.#front.now;
      }
      return;
    }
    if (head === undefined || head === incomplete || !this.mayStay) {
      this.#handOver(bytes);
      return;
    }
    if (this.#state !== inHead) this.#since = this.#front.now;
    const exchange = new Exchange(this, head);
    this.#exchange = exchange;
    const end = head.bytes + head.contentLength;
    if (size >= end) {
      this.#state = answering;
      this.#held = size > end ? bytes.subarray(end) : undefined;
      const body = bytes.subarray(head.bytes, end);
      exchange.takeBody(this.#isBorrowed ? this.#body.copyOf(body) : body);
    } else {
      this.#state = inBody;
      this.#held = undefined;
      this.#body.expect(head.contentLength);
      if (size > head.bytes) this.#takeBody(bytes.subarray(head.bytes));
    }
    options.take(exchange);
  }

  /** Gives what comes after the body. */
  #takeBody(bytes: Buffer): Buffer | undefined {
    const exchange = this.#exchange;
    const body = this.#body;
    const isKept = exchange !== undefined && !exchange.finished;
    const taken = body.take(bytes, isKept);
    if (body.missing === 0) {
      const whole = body.give();
      if (exchange === undefined) this.#state = idle;
      else {
        this.#state = answering;
        if (whole !== undefined) exchange.takeBody(whole);
      }
    } else if (isKept && body.have > maxHeldBytes && !exchange.isBodyWanted) this.#pause();
    if (taken < bytes.length) return bytes.subarray(taken);
    if (body.missing === 0 && exchange === undefined) this.#next();
    return undefined;
  }

  wanted(): void {
    if (this.#body.missing > 0) this.#resume();
  }

  answer(exchange: Exchange, stays: boolean, head: string, body: Buffer | undefined): void {
    if (exchange !== this.#exchange) return;
    this.#stays = stays;
    this.#answerBody = body;
    // The next request is here already, and those behind it must not pile up.
    if (this.#held !== undefined) writeAtOnce(this.socket, head, body, this);
    else {
      this.#unsent = true;
      writeTogether(this.socket, head, body, this);
    }
  }

  /** The whole answer is the socket's. */
  sent(): void {
    this.#unsent = false;
    const { socket } = this;
    const exchange = this.#exchange;
    if (socket.errored || exchange === undefined || exchange.gone) return;
    if (this.#front.writesAtOnce && socket.writableLength === 0) {
      exchange.finished = true;
      this.settle();
    } else socket.write(nothing, this.#onFlushed);
  }

  ended(exchange: Exchange, stays: boolean): void {
    if (exchange !== this.#exchange) return;
    this.#stays = stays;
    // An empty write has its turn after all the others.
    const { socket } = this;
    // That the client is gone is told by `close`.
    if (socket.destroyed || socket.errored) return;
    if (this.#front.writesAtOnce && socket.writableLength === 0 && !exchange.isLate) this.#settleSoon();
    else socket.write(nothing, this.#onFlushed);
  }

  #settleSoon(): void {
    const exchange = this.#exchange;
    if (exchange === undefined || exchange.gone) return;
    exchange.finished = true;
    process.nextTick(settle, this);
  }

  /** The answer under way is handed to the system. */
  settle(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#exchange = undefined;
    exchange.close(true);
    this.#body.release();
    giveRoomBack(this.#answerBody);
    this.#answerBody = undefined;
    if (this.#state >= leaving) return;
    if (!this.#stays) {
      this.#leave();
      this.#state = closing;
      this.socket.destroySoon();
      return;
    }
    // The rest of a body that nobody asked for is read over.
    if (this.#body.missing === 0) this.#next();
    if (this.#held === undefined || this.#held.length <= maxHeldBytes) this.#resume();
  }

  breakOff(): void {
    const { socket } = this;
    const isLate = this.#exchange?.isLate === true;
    this.#leave();
    if (socket.writableLength === 0 && !isLate) socket.destroy();
    else socket.write(nothing, () => socket.destroy());
  }

  /** The client will send nothing more. What it has not got by now it does not get: node:http does the same. */
  #leftBehind(): void {
    flush();
    const { server } = this.#front;
    const { socket } = this;
    const exchange = this.#exchange;
    const state = this.#state;
    if (state >= leaving) return;
    this.#leave();
    if (state === inHead || state === inBody) {
      if (exchange?.begun) socket.destroy();
      else if (!server.emit("clientError", cutShort(exchange?.url), socket)) socket.destroy();
    } else socket.end();
    this.#abandon();
  }

  #fail(error: Error): void {
    const { socket } = this;
    if (this.#state >= leaving) return;
    this.#leave();
    if (!this.#front.server.emit("clientError", error, socket)) socket.destroy();
    this.#abandon();
  }

  #closed(): void {
    this.#state = over;
    this.#abandon();
    this.#detach();
    this.socket.on("error", ignore);
    this.#front.onGone(this);
  }

  /** The answer under way, if any, will not be whole. */
  #abandon(): void {
    const exchange = this.#exchange;
    if (exchange === undefined || exchange.finished) return;
    this.#exchange = undefined;
    // What was begun with them may not have ended: they are the collector's.
    this.#body.forget();
    this.#answerBody = undefined;
    this.#held = undefined;
    exchange.close(false);
  }

  #leave(): void {
    this.#state = leaving;
    this.#since = this.#front.now;
    this.#body.expect(0);
    this.#held = undefined;
    this.#resume();
  }

  #handOver(bytes: Buffer): void {
    const { socket } = this;
    this.#state = over;
    this.#held = undefined;
    this.#detach();
    this.#front.onGone(this);
    this.#front.handOver(socket);
    // At once: what comes next goes to node's parser directly.
    socket.emit("data", this.#own(bytes));
    this.#resume();
  }

  #detach(): void {
    const { socket } = this;
    socket.removeListener("data", this.#onData);
    socket.removeListener("end", this.#onEnd);
    socket.removeListener("error", this.#onError);
    socket.removeListener("close", this.#onClose);
    socket.removeListener("drain", this.#onDrain);
  }

  /** Called now and then. */
  look(now: number): void {
    const { headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs } = this.#front.options;
    switch (this.#state) {
      case fresh:
      case inHead:
        if (this.#isOver(now, headersTimeoutMs) || this.#isOver(now, requestTimeoutMs)) this.#timeOut();
        return;
      case inBody:
        if (this.#isOver(now, requestTimeoutMs)) this.#timeOut();
        return;
      case idle:
        if (keepAliveTimeoutMs > 0 && this.#isOver(now, keepAliveTimeoutMs + keepAliveGraceMs)) this.socket.destroy();
        return;
      case leaving:
        if (this.#isOver(now, maxLeavingMs)) this.socket.destroy();
    }
  }

  #isOver(now: number, limitMs: number): boolean {
    return limitMs > 0 && now - this.#since >= limitMs + sweepMs;
  }

  #timeOut(): void {
    const { socket } = this;
    const exchange = this.#exchange;
    this.#leave();
    if (exchange?.begun) socket.destroy();
    else if (!this.#front.server.emit("clientError", tooSlow(exchange?.url), socket)) socket.destroy();
    this.#abandon();
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.socket.pause();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.socket.resume();
  }
}

const settle = (connection: Connection): void => connection.settle();

function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafe(bytes.length);
  copy.set(bytes);
  return copy;
}
