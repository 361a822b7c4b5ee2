// Tutorial places and older forms of settings: read as the present ones, and noted once.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { loadConfig } from "../../gateway/config/load.ts";
import { type Folder, makeFolder } from "../support/gateway.ts";

let folder: Folder;
before(() => {
  folder = makeFolder();
});
after(() => folder.remove());

const load = (content: string, env: Record<string, string> = {}, name = "openclaw.json") =>
  loadConfig({ env, path: folder.write(name, content) });

test("a tutorial's file", async () => {
  const { config, stack, notes } = await load(
    `{
    // as tutorials write it
    gateway: { bind: "0.0.0.0:18999", auth: { token: "\${TOKEN}", tokens: [{ id: "ci", token: "abc" }] }, rateLimit: { maxRequestsPerMinute: 100 }, websocket: { pingIntervalMs: 5000 } },
    models: { default: "vllm-local/Qwen3.5-35B", providers: { "vllm-local": { baseUrl: "http://h:8000/v1", api: "openai-responses", models: ["Qwen/Qwen3.5-35B", { id: "b", alias: "fast" }] }, o: { baseUrl: "http://h:11434", api: "ollama" } } },
    agents: { list: [{ id: "main", label: "Main" }] },
    memorySearch: { enabled: true, model: "BAAI/bge-m3" },
    tasks: { queueTimeoutSeconds: 5 }, worker: { concurrency: 50 }, cache: { enabled: true, ttlSeconds: 600 }, scheduler: { interval: 1 }, api: { timeout: 30 },
    logging: { level: "debug", format: "text", file: { path: "/tmp/x.log", maxSizeMb: 5 } },
    metrics: { port: 18790 },
    messages: { anything: "$\${KEPT}" },
  }`,
    { TOKEN: "t-0123456789" },
  );
  assert.deepEqual([config.gateway.bind, config.gateway.port, config.gateway.auth.token], ["lan", 18999, "t-0123456789"]);
  assert.deepEqual(config.agents.defaults?.model, { primary: "vllm-local/Qwen3.5-35B", fallbacks: [] });
  const local = config.models.providers["vllm-local"];
  assert.ok(local?.api === "openai-responses");
  assert.deepEqual(
    local.models.map((model) => model.id),
    ["Qwen/Qwen3.5-35B", "b"],
  );
  const ollama = config.models.providers.o;
  assert.ok(ollama?.api === "ollama" && ollama.baseUrl === "http://h:11434");
  assert.equal(config.agents.defaults?.models?.["vllm-local/b"]?.alias, "fast");
  assert.equal(config.agents.entries?.main?.label, "Main");
  assert.equal(config.memory?.search?.model, "BAAI/bge-m3");
  assert.deepEqual([stack.tokens[0]?.id, stack.tasks?.concurrency, stack.tasks?.queueTimeoutSeconds], ["ci", 50, 5]);
  assert.deepEqual([stack.cache?.ttlSeconds, stack.timeouts.totalMs, stack.metrics.port], [600, 30_000, 18790]);
  assert.deepEqual([stack.logging.format, stack.logging.file?.maxSizeMb, stack.websocket?.pingIntervalMs], ["text", 5, 5000]);
  assert.equal(config.messages?.anything, ["$", "{KEPT}"].join(""));
  assert.ok(notes.includes("models.default is read as agents.defaults.model.primary"));
  assert.match(notes.at(-1) ?? "", /not in force in this version: .*websocket/);
});

test("YAML with snake_case", async () => {
  const yaml =
    "gateway:\n  websocket_path: /socket\n  ping_interval: 30\n  max_message_size: 1000\nmodels:\n  providers:\n    my_server:\n      base_url: http://h/v1\ntasks:\n  default_timeout: 60\n  long_task_warning: 5\n";
  const { config, stack } = await load(yaml, {}, "config.yaml");
  assert.ok("my_server" in config.models.providers, "names of the user's own are kept");
  assert.deepEqual(stack.websocket && [stack.websocket.path, stack.websocket.pingIntervalMs, stack.websocket.maxMessageBytes], [
    "/socket",
    30_000,
    1000,
  ]);
  assert.deepEqual([stack.tasks?.defaultTimeoutSeconds, stack.tasks?.longTaskWarningSeconds], [60, 5]);
});

test("the environment: port, bind, level, and a token where the file has none", async () => {
  const env = {
    OPENCLAW_GATEWAY_PORT: "19000",
    OPENCLAW_GATEWAY_BIND: "lan",
    OPENCLAW_LOG_LEVEL: "warn",
    OPENCLAW_GATEWAY_TOKEN: "from-env-123",
  };
  const { config } = await load(`{ models: { providers: { a: { baseUrl: "http://h/v1" } } } }`, env);
  assert.deepEqual(
    [config.gateway.port, config.gateway.bind, config.logging.level, config.gateway.auth.token],
    [19000, "lan", "warn", "from-env-123"],
  );
  const other = await load(
    `{ gateway: { auth: { token: "from-file-123" } }, models: { providers: { a: { baseUrl: "http://h/v1" } } } }`,
    env,
  );
  assert.equal(other.config.gateway.auth.token, "from-file-123");
});

test("$include: several files, merged, the including file wins", async () => {
  folder.write("a.json5", `{ gateway: { port: 1111, bind: "auto" } }`);
  folder.write("b.json5", `{ gateway: { port: 2222 } }`);
  const { config, files } = await load(
    `{ $include: ["./a.json5", "./b.json5"], logging: { level: "error" }, models: { providers: { a: { baseUrl: "http://h/v1" } } } }`,
  );
  assert.deepEqual([config.gateway.port, config.gateway.bind, config.logging.level], [2222, "auto", "error"]);
  assert.equal(files.length, 3);
});
