// What is measured: the gateway with all of its guards on, nginx as a pass-through, and Portkey's gateway.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { nodeEnvironment, nodeFlags } from "../../../gateway/process/supervisor-child.ts";
import { bundleGateway } from "../../../infra/release/index.ts";
import { freePort } from "../../support/free-port.ts";
import { type Program, startOn, testedCpu, untilOpen, watched } from "./programs.ts";

export interface Contender extends Program {
  readonly port: number;
}

export const token = "bench-token-0123456789";
/** The model whose provider is of that kind. */
export const models = { chat: "bench-model", large: "large-model", responses: "resp-model", messages: "msgs-model" };

/** The config of the measured gateway: everything that guards a call is on, with bounds that the load does not meet. */
export function benchConfig(upstreamPort: number, port: number): object {
  const origin = `http://127.0.0.1:${upstreamPort}`;
  const provider = (api: string, path: string, id: string): object => ({
    api,
    baseUrl: `${origin}${path}`,
    apiKey: "bench-upstream-key",
    models: [{ id, cost: { input: 1, output: 2 } }],
  });
  return {
    gateway: { port, auth: { token: "bench-operator-0123456789" } },
    models: {
      providers: {
        chat: provider("openai-completions", "/v1", models.chat),
        large: provider("openai-completions", "/large/v1", models.large),
        responses: provider("openai-responses", "/v1", models.responses),
        messages: provider("anthropic-messages", "/v1", models.messages),
      },
    },
    plugins: {
      entries: {
        "openclaw-stack": {
          config: {
            tokens: [
              {
                id: "bench",
                token,
                limits: { requestsPerMinute: 100_000_000, tokensPerMinute: 100_000_000_000, concurrent: 100_000 },
              },
            ],
            rateLimit: { maxRequestsPerMinute: 100_000_000, maxRequestsPerMinutePerToken: 100_000_000 },
            routing: { breaker: { failures: 3 } },
          },
        },
      },
    },
  };
}

export const accessLog = (folder: string): string => join(folder, "gateway.log");

/** Started as the supervisor starts it: the bundle, the same flags, its log in a file. */
export async function startOurs(folder: string, upstreamPort: number): Promise<Contender> {
  const port = await freePort();
  mkdirSync(folder, { recursive: true });
  const config = join(folder, "openclaw.json");
  writeFileSync(config, JSON.stringify(benchConfig(upstreamPort, port)), { mode: 0o600 });
  const entry = join(bundleGateway().directory, "gateway/main.js");
  const extra = process.env.BENCH_NODE_FLAGS?.split(" ") ?? [];
  const child = startOn(testedCpu, [process.execPath, ...nodeFlags, ...extra, entry, "--config", config], {
    env: { ...nodeEnvironment, PATH: process.env.PATH, OPENCLAW_STATE_DIR: folder },
    output: accessLog(folder),
  });
  await untilOpen(port, child, "the gateway");
  return { ...watched(child), port };
}

/** One worker, connections kept on both sides, bodies in memory, answers passed on as they come. */
export async function startNginx(folder: string, upstreamPort: number): Promise<Contender> {
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`);
  const config = join(folder, "nginx.conf");
  writeFileSync(
    config,
    `worker_processes 1; daemon off; pid ${folder}/nginx.pid; error_log stderr error;
events { worker_connections 8192; }
http {
  access_log off; ${temporary.join(" ")}
  client_body_buffer_size 256k; client_max_body_size 64m; keepalive_requests 1000000000;
  upstream model { server 127.0.0.1:${upstreamPort}; keepalive 2048; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_buffer_size 128k; proxy_buffers 16 64k;
    }
  }
}
`,
  );
  const child = startOn(testedCpu, ["nginx", "-e", "stderr", "-c", config]);
  await untilOpen(port, child, "nginx");
  return { ...watched(child), port };
}

export const portkeyVersion = "1.15.2";

export async function startPortkey(): Promise<Contender> {
  const port = await freePort();
  const entry = join(installPortkey(), "node_modules/@portkey-ai/gateway/build/start-server.js");
  const child = startOn(testedCpu, [process.execPath, entry, `--port=${port}`, "--headless"], {
    env: { PATH: process.env.PATH, NODE_ENV: "production" },
    output: "/dev/null",
  });
  await untilOpen(port, child, "Portkey");
  return { ...watched(child), port };
}

/** Once, into the user's cache: 25 MB. */
function installPortkey(): string {
  const folder = join(homedir(), `.cache/openclaw-stack/portkey-gateway-${portkeyVersion}`);
  if (existsSync(join(folder, "complete"))) return folder;
  console.error(`installing @portkey-ai/gateway@${portkeyVersion} into ${folder}, once: about 25 MB`);
  const building = `${folder}.building-${process.pid}`;
  mkdirSync(building, { recursive: true });
  writeFileSync(join(building, "package.json"), "{}");
  const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", building];
  const result = spawnSync("npm", ["install", ...options, `@portkey-ai/gateway@${portkeyVersion}`], { encoding: "utf8" });
  if (result.status !== 0) {
    rmSync(building, { recursive: true, force: true });
    throw new Error(`npm could not install Portkey: ${result.error?.message ?? result.stderr.slice(-2000)}`);
  }
  writeFileSync(join(building, "complete"), "");
  rmSync(folder, { recursive: true, force: true });
  renameSync(building, folder);
  return folder;
}
