// Reads the answers on one connection as bytes come in, however they are cut, and says when each is whole.
import { type AnswerHead, type AnswerHeaders, noLines, ProtocolError, readHead } from "./answer-head.ts";

export interface AnswerEvents {
  onHead(status: number, headers: AnswerHeaders): void;
  /** A view of the bytes that were pushed. */
  onData(chunk: Buffer): void;
  /** The answer is whole. */
  onEnd(keepAlive: boolean): void;
}

export interface AnswerParser {
  /** A request was sent: an answer may come. */
  expect(): void;
  /** Throws ProtocolError. Bytes that nobody asked for are an error too. */
  push(bytes: Buffer): void;
  /** The other side has ended: false where that was in the middle of an answer. */
  end(): boolean;
  /** Nothing more is told. */
  stop(): void;
}

const maxHeadBytes = 32 * 1024;
const maxInterim = 16;
const maxChunkDigits = 8;
/** Of extensions and trailers, which are read over. */
const maxIgnoredBytes = 16 * 1024;

const idle = 0;
const inHead = 1;
const inLength = 2;
const untilClose = 3;
const inSize = 4;
const inExtension = 5;
const afterSize = 6;
const inChunk = 7;
const afterChunk = 8;
const afterChunkReturn = 9;
const atTrailer = 10;
const inTrailer = 11;
const afterTrailer = 12;
const atEnd = 13;
const whole = 14;
const stopped = 15;

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const headEnd = Buffer.from("\r\n\r\n");

export function createAnswerParser(events: AnswerEvents): AnswerParser {
  let state = idle;
  let pending: Buffer | undefined;
  const known = noLines();
  let interim = 0;
  let keepAlive = false;
  /** Bytes of the body, or of the chunk, to come. */
  let left = 0;
  let digits = 0;
  let ignored = 0;

  /** Where the body begins, or the end of the bytes. */
  function takeHead(bytes: Buffer, from: number): number {
    const before = pending?.length ?? 0;
    const all = pending ? Buffer.concat([pending, bytes.subarray(from)]) : bytes.subarray(from);
    const found = all.indexOf(headEnd, Math.max(0, before - 3));
    if ((found === -1 ? all.length : found) > maxHeadBytes) throw new ProtocolError("the headers are too large");
    if (found === -1) {
      // What is no HTTP at all may never come to an empty line.
      if (!isVersion(all)) throw new ProtocolError("not HTTP/1.1");
      // Copied: the bytes belong to the reader of the socket.
      pending = pending ? all : Buffer.from(all);
      return bytes.length;
    }
    pending = undefined;
    begin(readHead(all.toString("latin1", 0, found + 2), known));
    return from + found + headEnd.length - before;
  }

  function begin(head: AnswerHead): void {
    const { status, body } = head;
    if (status < 200) {
      interim += 1;
      // Nobody asked to switch protocols.
      if (status === 101 || interim > maxInterim) throw new ProtocolError("an interim answer that nobody asked for");
      return;
    }
    keepAlive = head.keepAlive && body !== "close";
    state = body === "chunked" ? inSize : body === "close" ? untilClose : inLength;
    left = typeof body === "number" ? body : 0;
    digits = 0;
    ignored = 0;
    events.onHead(status, head.headers);
    if (body === 0 && state === inLength) state = whole;
  }

  /** Body bytes from here; gives where they end. */
  function takeBody(bytes: Buffer, from: number): number {
    if (state === untilClose) {
      events.onData(from === 0 ? bytes : bytes.subarray(from));
      return bytes.length;
    }
    const end = Math.min(bytes.length, from + left);
    left -= end - from;
    const piece = from === 0 && end === bytes.length ? bytes : bytes.subarray(from, end);
    const isLast = left === 0;
    const wasChunk = state === inChunk;
    if (isLast && wasChunk) state = afterChunk;
    events.onData(piece);
    if (isLast && !wasChunk && state === inLength) state = whole;
    return end;
  }

  /** One byte of what is around chunks. */
  function takeFraming(byte: number): void {
    switch (state) {
      case inSize: {
        const digit = hexDigit(byte);
        if (digit >= 0) {
          digits += 1;
          if (digits > maxChunkDigits) throw new ProtocolError("a chunk that is too large");
          left = left * 16 + digit;
        } else if (digits > 0 && byte === carriageReturn) state = afterSize;
        else if (digits > 0 && byte === 0x3b) state = inExtension;
        else throw new ProtocolError("a chunk without a size");
        return;
      }
      case inExtension:
        if (byte === carriageReturn) state = afterSize;
        else ignore(byte);
        return;
      case afterSize:
        expectByte(byte, lineFeed);
        state = left === 0 ? atTrailer : inChunk;
        return;
      case afterChunk:
        expectByte(byte, carriageReturn);
        state = afterChunkReturn;
        return;
      case afterChunkReturn:
        expectByte(byte, lineFeed);
        state = inSize;
        digits = 0;
        return;
      case atTrailer:
        if (byte === carriageReturn) state = atEnd;
        else {
          ignore(byte);
          state = inTrailer;
        }
        return;
      case inTrailer:
        if (byte === carriageReturn) state = afterTrailer;
        else ignore(byte);
        return;
      case afterTrailer:
        expectByte(byte, lineFeed);
        state = atTrailer;
        return;
      default:
        expectByte(byte, lineFeed);
        state = whole;
    }
  }

  function ignore(byte: number): void {
    ignored += 1;
    if (ignored > maxIgnoredBytes || (byte < 0x20 && byte !== 0x09) || byte === 0x7f)
      throw new ProtocolError("an extension or a trailer that cannot be read");
  }

  return {
    expect() {
      state = inHead;
      interim = 0;
    },
    push(bytes) {
      let at = 0;
      while (at < bytes.length) {
        if (state === idle) throw new ProtocolError("bytes that nobody asked for");
        if (state === stopped) return;
        if (state === inHead) at = takeHead(bytes, at);
        else if (state === inLength || state === inChunk || state === untilClose) at = takeBody(bytes, at);
        else {
          takeFraming(bytes[at] ?? 0);
          at += 1;
        }
        if (state !== whole) continue;
        state = idle;
        // What comes after an answer is not taken for the next one: the connection is not used again.
        events.onEnd(keepAlive && at === bytes.length);
        return;
      }
    },
    end() {
      if (state === untilClose) {
        state = idle;
        events.onEnd(false);
      }
      return state === idle || state === stopped;
    },
    stop() {
      state = stopped;
    },
  };
}

const versions = [Buffer.from("HTTP/1.1 "), Buffer.from("HTTP/1.0 ")];

/** As far as the bytes go. */
function isVersion(bytes: Buffer): boolean {
  const length = Math.min(bytes.length, 9);
  return versions.some((version) => version.compare(bytes, 0, length, 0, length) === 0);
}

function expectByte(byte: number, wanted: number): void {
  if (byte !== wanted) throw new ProtocolError("a chunk that does not end as it should");
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
