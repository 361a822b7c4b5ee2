// Reads of a socket that a server accepted, into a buffer of our own: Node makes 64 KB for each, and gives most of it back.
import type { Socket } from "node:net";

const isFunction = (value: unknown): value is (...args: unknown[]) => unknown => typeof value === "function";
const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

/**
 * What `onread` is to a socket that connects, for one that is there already and of which nothing was read. `take` gets views of
 * `buffer`, which are gone when it returns; false from it: nothing more is read before `resume`. The socket has no `data` any more
 * but what is pushed into it.
 *
 * Node has no public way. False: this Node (tried: 24) does it in another one, or the socket is none of the system's own (TLS);
 * then its `data` are as ever.
 */
export function readInto(socket: Socket, buffer: Buffer, take: (bytes: Buffer) => boolean): boolean {
  const handle: unknown = Reflect.get(socket, "_handle");
  if (!isObject(handle) || socket.readableLength > 0) return false;
  const use: unknown = Reflect.get(handle, "useUserBuffer");
  const symbols = Object.getOwnPropertySymbols(socket);
  const ofBuffer = symbols.find(({ description }) => description === "kBuffer");
  const ofCallback = symbols.find(({ description }) => description === "kBufferCb");
  if (!isFunction(use) || ofBuffer === undefined || ofCallback === undefined) return false;
  use.call(handle, buffer);
  Reflect.set(socket, ofBuffer, buffer);
  Reflect.set(socket, ofCallback, (size: number): boolean => take(buffer.subarray(0, size)));
  return true;
}
