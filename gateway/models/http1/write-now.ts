// Hands small messages to the system past Node's queue of a socket, which most of them do not need.
import type { Socket } from "node:net";
import { getSystemErrorName } from "node:util";

/** Node's own stream of the system, as its sockets use it (tried: 24; it is not public). */
interface Handle {
  writeBuffer(request: object, bytes: Uint8Array): number;
}

interface Binding {
  readonly WriteWrap: new () => object;
  readonly streamBaseState: ArrayLike<number>;
  readonly kLastWriteWasAsync: number;
}

interface Told {
  sent(): void;
}

const isBinding = (value: unknown): value is Binding =>
  typeof value === "object" &&
  value !== null &&
  typeof Reflect.get(value, "WriteWrap") === "function" &&
  typeof Reflect.get(value, "kLastWriteWasAsync") === "number" &&
  typeof Reflect.get(value, "streamBaseState") === "object";

/** What a socket has besides. Read as fields: `Reflect.get` takes ten times as long. */
interface Inside {
  readonly writable: boolean;
  readonly _handle?: { readonly writeBuffer?: unknown } | null;
  readonly encrypted?: unknown;
}

const isHandle = (value: Inside["_handle"]): value is Handle => typeof value?.writeBuffer === "function";

function findBinding(): Binding | undefined {
  try {
    const find: unknown = Reflect.get(process, "binding");
    const found: unknown = typeof find === "function" ? find.call(process, "stream_wrap") : undefined;
    return isBinding(found) ? found : undefined;
  } catch {
    return undefined;
  }
}

const binding = findBinding();
/** Used by a write only when the system did not take all of it at once. */
let spare = binding && new binding.WriteWrap();

/** All of it is the system's. */
export const written = 0;
/** It is in the socket's own queue, as `writableLength` says. */
export const queued = 1;
/** The system takes it when it can, and `sender` is told then. */
export const later = 2;

/**
 * `bytes` must stay as they are unless the answer is `written`. `sender` is told once the system has them, where the answer is
 * `later` and the socket lives so long. Errors come by the socket's events, as after its `write`.
 */
export function writeNow(socket: Socket, bytes: Buffer, sender: Told | undefined): number {
  const { _handle: handle, encrypted }: Inside = socket;
  if (!binding || !spare || socket.writableLength > 0 || encrypted === true || !isHandle(handle)) {
    socket.write(bytes);
    return socket.writableLength > 0 ? queued : written;
  }
  const request = spare;
  const status = handle.writeBuffer(request, bytes);
  if (status !== 0) {
    spare = new binding.WriteWrap();
    socket.destroy(writeError(status));
    return queued;
  }
  if (binding.streamBaseState[binding.kLastWriteWasAsync] === 0) return written;
  spare = new binding.WriteWrap();
  awaitEnd(request, socket, bytes, sender);
  return later;
}

/** By itself: most writes need no closure. */
function awaitEnd(request: object, socket: Socket, bytes: Buffer, sender: Told | undefined): void {
  Reflect.set(request, "buffer", bytes);
  Reflect.set(request, "oncomplete", (outcome: number) => {
    if (socket.destroyed) return;
    if (outcome < 0) socket.destroy(writeError(outcome));
    else sender?.sent();
  });
}

function writeError(status: number): Error {
  const code = getSystemErrorName(status);
  return Object.assign(new Error(`write ${code}`), { code, errno: status, syscall: "write" });
}
