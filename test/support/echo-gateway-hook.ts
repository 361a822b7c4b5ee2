/**
 * Loaded into a gateway before its own code: WebSockets are echoed in the gateway's place, on its port, and sent elsewhere in
 * order when it drains. Everything else is the gateway itself.
 */
import { Server as HttpServer, type IncomingMessage } from "node:http";
import { Server } from "node:net";
import type { Duplex } from "node:stream";
import { acceptKey, createFrameReader, frame } from "./websocket-frames.ts";

/** RFC 6455 and its registry: the service restarts. */
const goAway = frame("close", Buffer.from([1012 >> 8, 1012 & 0xff]), false);
/** A client that says nothing for so long is told all the same. */
const silentMs = 3000;
const longestMs = 8000;
const open = new Set<Duplex>();
let leaving = false;

function echo(request: IncomingMessage, socket: Duplex): void {
  const key = acceptKey(String(request.headers["sec-websocket-key"]));
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\n`,
  );
  open.add(socket);
  const read = createFrameReader(({ opcode, payload }) => {
    if (opcode === "ping") socket.write(frame("pong", payload, false));
    if (opcode === "close") socket.end(frame("close", payload, false));
    if (opcode !== "text" && opcode !== "binary") return;
    const answer = frame(opcode, payload, false);
    // Together with an answer nothing of the client can be on its way: it waits for each.
    if (leaving) socket.end(Buffer.concat([answer, goAway]));
    else socket.write(answer);
  });
  socket.on("data", (bytes: Buffer) => socket.writable && read(bytes));
  socket.on("error", () => socket.destroy());
  socket.on("end", () => socket.end());
  socket.on("close", () => open.delete(socket));
}

function leave(): void {
  leaving = true;
  setTimeout(() => {
    for (const socket of open) socket.end(goAway);
  }, silentMs).unref();
}

Server.prototype.listen = new Proxy(Server.prototype.listen, {
  apply(listen, server, args) {
    if (server instanceof HttpServer) server.on("upgrade", echo);
    return Reflect.apply(listen, server, args);
  },
});
// The drain begins with it.
Server.prototype.close = new Proxy(Server.prototype.close, {
  apply(close, server, args) {
    if (server instanceof HttpServer) leave();
    return Reflect.apply(close, server, args);
  },
});
process.exit = new Proxy(process.exit, {
  apply(exit, self, args) {
    const until = Date.now() + longestMs;
    const timer = setInterval(() => {
      if (open.size > 0 && Date.now() < until) return;
      clearInterval(timer);
      Reflect.apply(exit, self, args);
    }, 50);
  },
});
