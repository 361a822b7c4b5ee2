/** Stands in for the gateway under a supervisor: answers with its pid after 20 ms; its file `mode` tells it to misbehave at the start. */
import { readFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { linkToSupervisor } from "../../gateway/process/supervisor-link.ts";

const mode = read("mode");
if (mode === "misconfigured") process.exit(78);
if (mode === "crash") throw new Error("the fake gateway was told to crash");

const link = linkToSupervisor({
  reload: async () => {
    const wanted = read("reload");
    return wanted === "fail"
      ? { ok: false, message: "told to refuse" }
      : { ok: true, restartNeededFor: wanted ? [wanted] : [] };
  },
});
const server = http.createServer((_request, response) => {
  setTimeout(() => response.end(JSON.stringify({ pid: process.pid, token: process.env.PLANTED ?? null })), 20);
});
server.listen(link.listenDescriptor === undefined ? { port: 0 } : { fd: link.listenDescriptor }, () => link.ready());
process.on("SIGTERM", () => {
  link.draining();
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});

function read(name: string): string {
  try {
    return readFileSync(join(process.env.FAKE_DIRECTORY ?? ".", name), "utf8").trim();
  } catch {
    return "";
  }
}
