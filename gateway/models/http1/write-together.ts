// A head and its body, sent by one call of the system where they are small.
import type { Socket } from "node:net";

/** What is larger is not worth a copy. */
const sheetBytes = 18 * 1024;
/** They are put together here: most are handed to the system before the socket's `write` returns. */
let sheet = Buffer.allocUnsafeSlow(sheetBytes);

/** `head` in latin1. */
export function writeTogether(socket: Socket, head: string, body: Buffer | undefined): void {
  const size = head.length;
  if (body === undefined || body.length === 0) socket.write(head, "latin1");
  else if (size + body.length <= sheetBytes) {
    sheet.write(head, 0, size, "latin1");
    sheet.set(body, size);
    socket.write(sheet.subarray(0, size + body.length));
    // Not yet handed over: these bytes must stay as they are.
    if (socket.writableLength > 0) sheet = Buffer.allocUnsafeSlow(sheetBytes);
  } else {
    socket.cork();
    socket.write(head, "latin1");
    socket.write(body);
    socket.uncork();
  }
}
