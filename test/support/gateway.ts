// Starts a gateway for a test: inside the test's process on a free port, or as a process of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type App, createApp } from "../../gateway/app.ts";
import { loadConfig } from "../../gateway/config/load.ts";
import type { ConfigInput } from "../../gateway/config/schema.ts";
import { createLog } from "../../gateway/observability/log.ts";

export const token = "test-token-0123456789";

export interface Folder {
  readonly path: string;
  write(name: string, content: string | object, mode?: number): string;
  remove(): void;
}

export function makeFolder(): Folder {
  const path = mkdtempSync(join(tmpdir(), "openclaw-gateway-"));
  return {
    path,
    write(name, content, mode = 0o600) {
      const file = join(path, name);
      writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content, null, 2), { mode });
      return file;
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

export interface TestGateway {
  readonly app: App;
  readonly url: string;
  readonly lines: string[];
  readonly folder: Folder;
  close(): Promise<void>;
}

type StackInput = NonNullable<NonNullable<NonNullable<ConfigInput["plugins"]>["entries"]>["openclaw-stack"]>["config"];

/** One provider "fake" at `baseUrl`, and the token above. */
export function fakeConfig(baseUrl: string, stack: StackInput = {}, more: ConfigInput = {}): ConfigInput {
  return {
    gateway: { auth: { token } },
    models: { providers: { fake: { api: "openai-completions", baseUrl, models: [{ id: "fake-model" }] } } },
    plugins: { entries: { "openclaw-stack": { config: stack } } },
    ...more,
  };
}

/** `of`: in the folder of one that was started before, which removes it. */
export async function startGateway(config: ConfigInput, of?: Folder): Promise<TestGateway> {
  const folder = of ?? makeFolder();
  const path = folder.write("openclaw.json", config);
  const lines: string[] = [];
  const loaded = await loadConfig({ env: { OPENCLAW_STATE_DIR: folder.path }, path });
  const log = createLog((line) => lines.push(line), { level: "debug", redact: loaded.secrets.redact });
  const app = await createApp(loaded, { log, version: "0.0.0-test" });
  await app.server.listen({ host: "127.0.0.1", port: 0 });
  app.lifecycle.started();
  const address = app.server.server.address();
  if (typeof address !== "object" || !address) throw new Error("the gateway does not listen");
  return {
    app,
    url: `http://127.0.0.1:${address.port}`,
    lines,
    folder,
    async close() {
      app.server.server.closeAllConnections();
      await app.close();
      if (!of) folder.remove();
    },
  };
}

export interface GatewayProcess {
  readonly child: ChildProcess;
  readonly url: string;
  output(): string;
  /** Resolves when the output holds this text. */
  says(text: string): Promise<void>;
  exited: Promise<number | null>;
  stop(): Promise<void>;
}

const fromSource: readonly string[] = [process.execPath, join(import.meta.dirname, "../../gateway/main.ts")];

/** `program`: another way to start the gateway than from its source; `path`: the PATH that it finds. */
export function spawnGateway(
  configPath: string,
  stateDir: string,
  port: number,
  args: readonly string[] = [],
  { program = fromSource, path = process.env.PATH }: { program?: readonly string[]; path?: string } = {},
): GatewayProcess {
  const [command = "", ...first] = program;
  const child = spawn(command, [...first, "--config", configPath, ...args], {
    env: {
      PATH: path,
      OPENCLAW_STATE_DIR: stateDir,
      NODE_COMPILE_CACHE: join(tmpdir(), "openclaw-test-compile-cache"),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      for (const look of [...waiting]) look();
    });
  }
  const exited = once(child, "close").then(([code]) => (typeof code === "number" ? code : null));
  return {
    child,
    url: `http://127.0.0.1:${port}`,
    output: () => text,
    exited,
    says: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (!text.includes(wanted)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        exited.then(() => reject(new Error(`the gateway ended without saying ${JSON.stringify(wanted)}:\n${text}`)), reject);
        look();
      }),
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await exited;
    },
  };
}

export const bearer = { authorization: `Bearer ${token}` };

export function chat(
  url: string,
  body: object,
  headers: Record<string, string> = bearer,
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ messages: [{ role: "user", content: "hi" }], ...body }),
    ...(signal ? { signal } : {}),
  });
}
