// What we emit passes the real OpenClaw CLI's `config validate`.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { makeFolder } from "../support/gateway.ts";
import { openclawCli } from "../support/openclaw-cli.ts";

test("references, object models and our block under plugins.entries are accepted with a warning", () => {
  const cli = openclawCli();
  const folder = makeFolder();
  try {
    const reference = (provider: string) => ({ source: "file", provider, id: "value" });
    const path = folder.write("openclaw.json", {
      gateway: {
        port: 18789,
        bind: "loopback",
        mode: "local",
        auth: { mode: "token", token: reference("gateway-token") },
        reload: { mode: "hybrid" },
      },
      models: {
        mode: "merge",
        providers: {
          local: { baseUrl: "http://127.0.0.1:11434/v1", api: "openai-completions", models: [{ id: "m", name: "M" }] },
        },
      },
      agents: { defaults: { model: { primary: "local/m", fallbacks: [] }, models: { "local/m": { alias: "fast" } } } },
      secrets: { providers: { "gateway-token": { source: "file", path: folder.write("token", "x\n"), mode: "singleValue" } } },
      plugins: {
        entries: {
          "openclaw-stack": {
            config: { drain: { timeoutMs: 1000 }, tokens: [{ id: "ci", token: reference("gateway-token") }] },
          },
        },
      },
    });
    const env = {
      PATH: process.env.PATH,
      HOME: folder.path,
      OPENCLAW_CONFIG_PATH: path,
      OPENCLAW_STATE_DIR: join(folder.path, "state"),
    };
    const output = execFileSync(process.execPath, [cli, "config", "validate"], {
      env,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
    assert.match(output, /Config valid/);
  } finally {
    folder.remove();
  }
});
