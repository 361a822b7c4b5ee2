/** Asks a running supervisor, and starts one where there is none. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  otherSupervisorExitCode,
  readSpec,
  type SupervisorFiles,
  SupervisorReply,
  type SupervisorRequest,
} from "./supervisor-files.ts";
import { readHolder } from "./supervisor-lock.ts";
import { lastLines, openLog } from "./supervisor-log.ts";
import { startUnit } from "./supervisor-systemd.ts";

/** How the network is reached from here; systemd's services do not get it by themselves. */
const network = [
  ...["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"],
  "TZ",
];
/** Of the caller's environment only these reach the gateway: keys and passwords that lie there are none of its business. */
const passedOn = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "LANG",
  "LC_ALL",
  "TMPDIR",
  "XDG_RUNTIME_DIR",
  "XDG_CONFIG_HOME",
  ...network,
];

/** Undefined where no supervisor runs. */
export async function askSupervisor(files: SupervisorFiles, request: SupervisorRequest): Promise<SupervisorReply | undefined> {
  if (!readHolder(files.lock)) return undefined;
  process.chdir(files.runDirectory);
  const socket = net.connect(files.socketName);
  try {
    await once(socket, "connect");
  } catch {
    return undefined;
  }
  socket.write(`${JSON.stringify(request)}\n`);
  let text = "";
  socket.setEncoding("utf8");
  for await (const chunk of socket) text += chunk;
  return text ? SupervisorReply.parse(JSON.parse(text)) : undefined;
}

/** Starts a supervisor in a session of its own, so that it outlives the terminal; resolves once it listens to requests. */
export async function startSupervisor(files: SupervisorFiles, node: string): Promise<void> {
  mkdirSync(files.runDirectory, { recursive: true, mode: 0o700 });
  const log = openLog(files.log);
  const entry = join(import.meta.dirname, "supervisor-main.ts");
  // Without it each start strips the types anew, with a compiler that stays in memory.
  const cache = { NODE_COMPILE_CACHE: join(files.runDirectory, "compile-cache") };
  const stopTimeoutSeconds = Math.ceil(readSpec(files).drainTimeoutMs / 1000) + 10;
  let ended: string | undefined;
  if (!(await startUnit({ files, node, entry, environment: { ...pick(network), ...cache }, stopTimeoutSeconds }))) {
    const child = spawn(node, ["--disable-warning=ExperimentalWarning", entry, files.directory], {
      detached: true,
      stdio: ["ignore", log.descriptor, log.descriptor],
      cwd: files.directory,
      env: { ...pick(passedOn), ...cache },
    });
    child.on("error", (error) => {
      ended = error.message;
    });
    child.on("exit", (code, signal) => {
      // Another one was faster: it is the one that will answer.
      if (code !== otherSupervisorExitCode) ended = signal ?? `exit code ${code}`;
    });
    child.unref();
  }
  const until = Date.now() + 15_000;
  while (!ended && Date.now() < until) {
    if (await askSupervisor(files, { command: "status" })) return;
    await sleep(25);
  }
  throw new Error(`the supervisor did not start (${ended ?? "no answer in 15 s"})\n${lastLines(files.log, 10).join("\n")}`);
}

function pick(names: string[]): { [name: string]: string } {
  const picked: { [name: string]: string } = {};
  for (const name of names) {
    const value = process.env[name];
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}
