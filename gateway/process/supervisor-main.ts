/** The supervisor's process: `supervisor-main.ts <directory>`. Started detached by supervisor-control.ts, or by a gateway that lost its supervisor. */
import { rmSync } from "node:fs";
import { flushCompileCache } from "node:module";
import net from "node:net";
import { createSupervisor } from "./supervisor.ts";
import { adoptGateway } from "./supervisor-child.ts";
import { otherSupervisorExitCode, readSpec, SupervisorRequest, supervisorFiles } from "./supervisor-files.ts";
import { adoptListener } from "./supervisor-listener.ts";
import { takeLock } from "./supervisor-lock.ts";
import { openLog } from "./supervisor-log.ts";

const files = supervisorFiles(process.argv[2] ?? ".");
process.chdir(files.runDirectory);
if (!takeLock(files.lock)) process.exit(otherSupervisorExitCode);
process.title = "openclaw-supervisor";

const log = openLog(files.log);
const adoptedPid = Number(process.env.OPENCLAW_ADOPT_PID ?? 0);
delete process.env.OPENCLAW_ADOPT_PID;
const spec = readSpec(files);
const supervisor = createSupervisor({
  files,
  log,
  adopted: adoptedPid ? { gateway: adoptGateway(adoptedPid), listener: adoptListener(3, spec.host, spec.port) } : undefined,
});

const server = net.createServer((socket) => {
  let text = "";
  socket.setEncoding("utf8");
  socket.on("error", () => {});
  socket.on("data", async (chunk) => {
    text += chunk;
    const end = text.indexOf("\n");
    if (end < 0) return;
    const line = text.slice(0, end);
    text = "";
    try {
      const reply = await supervisor.handle(SupervisorRequest.parse(JSON.parse(line)));
      socket.end(`${JSON.stringify(reply)}\n`);
    } catch (error) {
      log.write("error", "supervisor.request", { error: error instanceof Error ? error.message : String(error) });
      socket.destroy();
    }
  });
});
rmSync(files.socketName, { force: true });
// Whoever may open the socket may stop the gateway: it belongs to the user alone.
process.umask(0o077);
server.listen(files.socketName);

// Node would write its compiled code at the exit only, and a supervisor that was killed has to be back soon.
supervisor.handle({ command: "await-ready" }).then(() => flushCompileCache());

process.on("SIGTERM", () => supervisor.stop());
process.on("SIGINT", () => supervisor.stop());
process.on("SIGHUP", () => {});

await supervisor.stopped;
rmSync(files.socketName, { force: true });
rmSync(files.lock, { force: true });
server.close();
// The last reply is on its way; nothing else keeps the process.
setTimeout(() => process.exit(0), 200).unref();
if (process.connected) process.disconnect();
