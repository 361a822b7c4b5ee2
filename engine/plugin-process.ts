/** Starts a plug-in's process and speaks to it over gRPC: it says its port on the first line that it writes. */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import pluginProto from "@pulumi/pulumi/proto/plugin_pb.js";
import providerGrpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import { connectProvider } from "./grpc-provider.ts";
import type { Guardian } from "./guardian.ts";
import type { InstalledPlugin } from "./plugin-files.ts";
import { type Provider, ProviderError, type ProviderLog } from "./providers/provider.ts";

export interface PluginDeps {
  engineAddress: string;
  /** Its working directory. */
  programDirectory: string;
  guardian: Guardian;
  env: { [name: string]: string | undefined };
  log(entry: ProviderLog): void;
}

/** How long a plug-in may take until it listens; one in TypeScript is compiled first. */
const startTimeoutMs = 60_000;
/** After a request to end, before it is killed. */
const endTimeoutMs = 3_000;
const keptLines = 30;

export async function startPlugin(plugin: InstalledPlugin, deps: PluginDeps): Promise<Provider> {
  const child = spawn(...commandLine(plugin, deps.engineAddress), {
    cwd: deps.programDirectory,
    env: deps.env,
    // A group of its own: Ctrl-C is for the engine, which asks the plug-in to stop.
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const { pid } = child;
  if (pid !== undefined) deps.guardian.begin(pid);
  child.stdin.on("error", () => {});
  const tail: string[] = [];
  const keep = (line: string) => {
    if (line.trim() !== "") tail.push(line);
    if (tail.length > keptLines) tail.shift();
  };
  createInterface({ input: child.stderr }).on("line", keep);
  const exited = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ? `ended by ${signal}` : `exit status ${code}`));
  });
  let ending = false;
  const said = () => (tail.length > 0 ? `\n${tail.join("\n")}` : "");
  const end = async () => {
    ending = true;
    await endProcess(child, exited);
    if (pid !== undefined) deps.guardian.end(pid);
  };
  try {
    const port = await readPort(child, exited, keep);
    exited.then((how) => {
      if (ending) return;
      const message = `The plug-in ${plugin.name} ended unexpectedly (${how}).${said()}`;
      deps.log({ severity: "error", message });
    });
    return connectProvider(`127.0.0.1:${port}`, end);
  } catch (error) {
    await end();
    const reason = error instanceof Error ? error.message : String(error);
    throw new ProviderError(
      "unavailable",
      `The plug-in ${plugin.name} in ${plugin.directory} did not start: ${reason}${said()}`,
    );
  }
}

/** Speaks to a provider that somebody else started, and tells it where the engine is. */
export async function attachPlugin(name: string, port: number, engineAddress: string): Promise<Provider> {
  const address = `127.0.0.1:${port}`;
  const client = new providerGrpc.ResourceProviderClient(address, credentials.createInsecure());
  const request = new pluginProto.PluginAttach();
  request.setAddress(engineAddress);
  try {
    await new Promise<void>((resolve, reject) => {
      const deadline = Date.now() + 10_000;
      client.attach(request, new Metadata(), { deadline }, (error: ServiceError | null) => (error ? reject(error) : resolve()));
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ProviderError("unavailable", `PULUMI_DEBUG_PROVIDERS: no provider ${name} answers on port ${port}: ${reason}`);
  } finally {
    client.close();
  }
  return connectProvider(address);
}

function commandLine(plugin: InstalledPlugin, engineAddress: string): [string, string[]] {
  if ("executable" in plugin.start) return [plugin.start.executable, [engineAddress]];
  const runner = "@pulumi/pulumi/cmd/run-plugin";
  let path: string;
  try {
    path = createRequire(join(plugin.directory, "package.json")).resolve(runner);
  } catch (error) {
    const hint = `It is a program in TypeScript or JavaScript: run "npm install" in ${plugin.directory}.`;
    throw new ProviderError(
      "unavailable",
      `The plug-in ${plugin.name} cannot be run: ${runner} was not found from its folder. ${hint}`,
      {
        cause: error,
      },
    );
  }
  return [process.execPath, [...plugin.start.nodeArguments, path, plugin.directory, engineAddress]];
}

function readPort(child: ChildProcess, exited: Promise<string>, keep: (line: string) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`it named no port within ${startTimeoutMs / 1000} seconds`)),
      startTimeoutMs,
    );
    const settle = (work: () => void) => {
      clearTimeout(timer);
      work();
    };
    let found = false;
    if (child.stdout) {
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (found) return keep(line);
        found = true;
        const port = /^\d{1,5}$/.test(line.trim()) ? Number(line) : 0;
        if (port > 0) settle(() => resolve(port));
        else
          settle(() => reject(new Error(`its first line must be the port that it listens on, but is ${JSON.stringify(line)}`)));
      });
    }
    exited.then((how) => settle(() => reject(new Error(how))));
  });
}

async function endProcess(child: ChildProcess, exited: Promise<string>): Promise<void> {
  const { pid } = child;
  if (pid === undefined) return;
  signalGroup(pid, "SIGINT");
  const timer = setTimeout(() => signalGroup(pid, "SIGKILL"), endTimeoutMs);
  await exited;
  clearTimeout(timer);
  // What it started goes with it.
  signalGroup(pid, "SIGKILL");
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Nobody is left in it.
  }
}
