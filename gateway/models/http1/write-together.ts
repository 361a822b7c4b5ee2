// Small messages, each a head and its body, are handed to the system one right after the other at the end of a turn of the event loop.
import type { Socket } from "node:net";
import { later, writeNow, written } from "./write-now.ts";

export interface Sender {
  /** The socket has all of it; nothing where the socket was closed before. */
  sent(): void;
}

/** What is larger is not worth a copy, and goes at once. */
const maxCopied = 18 * 1024;
const sheetBytes = 64 * 1024;
/** So long nobody is kept waiting for others. */
const maxWaiting = 16;

/** What waits is put together here: most is handed to the system before the socket's `write` returns. */
let sheet = Buffer.allocUnsafeSlow(sheetBytes);
let used = 0;
const sockets: Socket[] = [];
const senders: (Sender | undefined)[] = [];
const ends: number[] = [];
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
  if (size > maxCopied || isFlushing) {
    writeAtOnce(socket, head, body, sender);
    return;
  }
  if (sockets.length >= maxWaiting || used + size > sheetBytes) flush();
  sheet.write(head, used, head.length, "latin1");
  if (body !== undefined && bodyBytes > 0) sheet.set(body, used + head.length);
  used += size;
  if (!isArmed) {
    isArmed = true;
    setImmediate(flushArmed);
  }
  sockets.push(socket);
  senders.push(sender);
  ends.push(used);
}

/** The same without waiting for others. */
export function writeAtOnce(socket: Socket, head: string, body: Buffer | undefined, sender: Sender): void {
  if (body === undefined || body.length === 0) socket.write(head, "latin1");
  else {
    socket.cork();
    socket.write(head, "latin1");
    socket.write(body);
    socket.uncork();
  }
  process.nextTick(tell, socket, sender);
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
      if (socket?.writable) {
        const outcome = writeNow(socket, sheet.subarray(begin, end), senders[at]);
        if (outcome !== written) isKept = true;
        if (outcome === later) senders[at] = undefined;
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
    used = 0;
    if (isKept) sheet = Buffer.allocUnsafeSlow(sheetBytes);
  }
}
