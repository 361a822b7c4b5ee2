// Messages, each a head and its body, and pieces of streams are handed to the system one right after the other at the end of a turn
// of the event loop.
import type { Socket } from "node:net";
import { later, writeNow, written } from "./write-now.ts";

export interface Sender {
  /** The socket has all of it; nothing where the socket was closed before. */
  sent(): void;
  /** The system has no room for it now: `sent` will come when it had. */
  late?(): void;
}

/** What is larger is not worth a copy, and waits as it is. */
const maxCopied = 18 * 1024;
const sheetBytes = 64 * 1024;
/** So long nobody is kept waiting for others. */
const maxWaiting = 16;
const maxWaitingBytes = 1024 * 1024;

/** What waits is put together here: most is handed to the system before the socket's `write` returns. */
let sheet = Buffer.allocUnsafeSlow(sheetBytes);
let used = 0;
const sockets: Socket[] = [];
const senders: (Sender | undefined)[] = [];
const ends: number[] = [];
/** Of those that are not on the sheet. */
const heads: (string | undefined)[] = [];
const bodies: (Buffer | undefined)[] = [];
let largeBytes = 0;
let isFlushing = false;
let isArmed = false;

/**
 * A write wakes the process at the other end if it sleeps, which on a virtual machine takes longer than all the rest of the write.
 * When many follow each other it is still awake. `head` in latin1. Nothing else may be written to the socket before `sent`, which
 * is called later, never from within this.
 */
export function writeTogether(socket: Socket, head: string, body: Buffer | undefined, sender: Sender): void {
  const bodyBytes = body === undefined ? 0 : body.length;
  const size = head.length + bodyBytes;
  if (isFlushing) {
    writeAtOnce(socket, head, body, sender);
    return;
  }
  const isLarge = size > maxCopied;
  if (sockets.length >= maxWaiting || (isLarge ? largeBytes + size > maxWaitingBytes : used + size > sheetBytes)) flush();
  if (isLarge) {
    largeBytes += size;
    add(socket, sender, head, body);
    return;
  }
  sheet.write(head, used, head.length, "latin1");
  if (body !== undefined && bodyBytes > 0) sheet.set(body, used + head.length);
  used += size;
  add(socket, sender, undefined, undefined);
}

/**
 * A piece of a message that goes on, with a few letters (latin1) around it. False: it was not taken, since it is large or others are
 * written just now; what was taken before is to be flushed before it goes another way. Only while the socket's own queue is empty, and
 * with one sender for all pieces of a socket: it hears of what was taken up to then, once.
 */
export function writePiece(socket: Socket, before: string, bytes: Buffer, after: string, sender: Sender): boolean {
  const size = before.length + bytes.length + after.length;
  if (isFlushing || size > maxCopied) return false;
  if (used + size > sheetBytes) flush();
  const last = sockets.length - 1;
  const goesOn = last >= 0 && sockets[last] === socket && senders[last] === sender;
  if (!goesOn && sockets.length >= maxWaiting) flush();
  const at = putText(before, used);
  sheet.set(bytes, at);
  used = putText(after, at + bytes.length);
  if (goesOn) ends[last] = used;
  else add(socket, sender, undefined, undefined);
  return true;
}

/** Most are a few letters, with which a call into Node would take longer. Gives where it ends. */
function putText(text: string, at: number): number {
  if (text.length > 16) return at + sheet.write(text, at, text.length, "latin1");
  for (let index = 0; index < text.length; index += 1) sheet[at + index] = text.charCodeAt(index);
  return at + text.length;
}

function add(socket: Socket, sender: Sender, head: string | undefined, body: Buffer | undefined): void {
  if (!isArmed) {
    isArmed = true;
    setImmediate(flushArmed);
  }
  sockets.push(socket);
  senders.push(sender);
  ends.push(used);
  heads.push(head);
  bodies.push(body);
}

/** As `writeTogether`, without waiting for others. */
export function writeAtOnce(socket: Socket, head: string, body: Buffer | undefined, sender: Sender): void {
  writeBoth(socket, head, body);
  process.nextTick(tell, socket, sender);
}

function writeBoth(socket: Socket, head: string, body: Buffer | undefined): void {
  if (body === undefined || body.length === 0) socket.write(head, "latin1");
  else {
    socket.cork();
    socket.write(head, "latin1");
    socket.write(body);
    socket.uncork();
  }
}

function tell(socket: Socket, sender: Sender): void {
  if (!socket.destroyed) sender.sent();
}

function flushArmed(): void {
  isArmed = false;
  flush();
}

/** For those who cannot wait for the turn's end. */
export function flush(): void {
  if (isFlushing || sockets.length === 0) return;
  isFlushing = true;
  let begin = 0;
  let isKept = false;
  try {
    for (let at = 0; at < sockets.length; at += 1) {
      const end = ends[at] ?? begin;
      const socket = sockets[at];
      const head = heads[at];
      if (socket?.writable && head !== undefined) writeBoth(socket, head, bodies[at]);
      else if (socket?.writable) {
        const outcome = writeNow(socket, sheet.subarray(begin, end), senders[at]);
        if (outcome !== written) isKept = true;
        if (outcome === later) {
          senders[at]?.late?.();
          senders[at] = undefined;
        }
      }
      begin = end;
    }
    // Not in between: what they do takes long enough for readers to fall asleep.
    for (let at = 0; at < senders.length; at += 1) {
      const socket = sockets[at];
      const sender = senders[at];
      if (socket && sender) tell(socket, sender);
    }
  } finally {
    isFlushing = false;
    sockets.length = 0;
    senders.length = 0;
    ends.length = 0;
    heads.length = 0;
    bodies.length = 0;
    used = 0;
    largeBytes = 0;
    if (isKept) sheet = Buffer.allocUnsafeSlow(sheetBytes);
  }
}
