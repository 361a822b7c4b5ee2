/** The house's arrows: which room may look into which, read from the imports. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..");
const files = globSync("{engine,gateway,infra}/**/*.ts", { cwd: root }).sort();

interface Import {
  from: string;
  to: string;
}

/** Relative imports of all files, as paths from the root; packages are left out. */
function imports(): Import[] {
  const found: Import[] = [];
  for (const from of files) {
    const text = readFileSync(join(root, from), "utf8");
    for (const match of text.matchAll(/(?:\bfrom\s*|\bimport\s*\(\s*|\bimport\s+)["'](\.[^"']+)["']/g)) {
      found.push({ from, to: relative(root, join(root, dirname(from), match[1] ?? "")) });
    }
  }
  return found;
}

const all = imports();
const wrong = (rule: (arrow: Import) => boolean): string[] => all.filter(rule).map((arrow) => `${arrow.from} -> ${arrow.to}`);
const within = (folder: string, path: string): boolean => path.startsWith(`${folder}/`);

test("there are imports to check", () => {
  assert.ok(all.length > 50, `only ${all.length} imports were found`);
});

test("the engine knows nothing of the gateway or the program, nor they of the engine", () => {
  assert.deepEqual(
    wrong((a) => within("engine", a.from) !== within("engine", a.to)),
    [],
  );
});

test("the gateway never imports the program", () => {
  assert.deepEqual(
    wrong((a) => within("gateway", a.from) && !within("gateway", a.to)),
    [],
  );
});

test("the program imports one thing of the gateway: its config schema", () => {
  assert.deepEqual(
    wrong((a) => within("infra", a.from) && within("gateway", a.to) && a.to !== "gateway/config/schema.ts"),
    [],
  );
});

test("the engine never imports the SDK itself, only its protocol", () => {
  const offenders = files.filter((file) => {
    if (!within("engine", file)) return false;
    return /from\s*["']@pulumi\/pulumi["']/.test(readFileSync(join(root, file), "utf8"));
  });
  assert.deepEqual(offenders, []);
});

/** In the gateway a room may look only at rooms below it. */
const layers: { [room: string]: string[] } = {
  http: ["governance", "models", "agents", "tasks", "nodes", "channels", "store", "observability", "config", "process", "ui"],
  ws: ["governance", "models", "agents", "tasks", "nodes", "channels", "store", "observability", "config"],
  governance: ["models", "observability", "config", "store"],
  models: ["observability", "config", "store"],
  agents: ["models", "observability", "config", "store"],
  tasks: ["agents", "observability", "config", "store"],
  nodes: ["observability", "config", "store"],
  channels: ["observability", "config", "store"],
  store: ["observability", "config"],
  observability: ["config"],
  // The schema takes the kinds of providers from their table, so that a kind is declared once.
  config: ["models"],
  ui: [],
};

test("a room of the gateway looks only into the rooms below it", () => {
  const room = (path: string): string | undefined => /^gateway\/([^/]+)\//.exec(path)?.[1];
  assert.deepEqual(
    wrong((a) => {
      const from = room(a.from);
      const to = room(a.to);
      if (!from || !to || from === to) return false;
      const allowed = layers[from];
      return allowed !== undefined && !allowed.includes(to);
    }),
    [],
  );
});

/** Leaves know their interface and their own folder, never each other. */
const leaves = ["gateway/models/providers", "gateway/channels", "gateway/store", "infra/targets", "engine/providers"];

test("adapters do not know each other", () => {
  const leafOf = (folder: string, path: string): string | undefined =>
    within(folder, path)
      ? path
          .slice(folder.length + 1)
          .split("/")[0]
          ?.replace(/\.ts$/, "")
      : undefined;
  const shared = new Set(["index", "provider", "channel", "store", "allowances", "target"]);
  assert.deepEqual(
    wrong((a) =>
      leaves.some((folder) => {
        const from = leafOf(folder, a.from);
        const to = leafOf(folder, a.to);
        return from !== undefined && to !== undefined && from !== to && !shared.has(from) && !shared.has(to);
      }),
    ),
    [],
  );
});

/** Adapter kinds are known to their own folder and to the config; a core file that names one decides for it. */
const adapters: { names: string[]; room: string; allowed: RegExp }[] = [
  {
    names: ["telegram", "discord", "dingtalk", "feishu", "wechat"],
    room: "gateway",
    allowed: /^gateway\/(channels|config)\//,
  },
  {
    names: ["openai-completions", "openai-responses", "anthropic-messages", "ollama"],
    room: "gateway",
    allowed: /^gateway\/(models\/providers|models\/index|config)/,
  },
];

test("no core file names an adapter", () => {
  const offenders: string[] = [];
  for (const { names, room, allowed } of adapters) {
    for (const file of files) {
      if (!within(room, file) || allowed.test(file)) continue;
      const code = readFileSync(join(root, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
      for (const name of names) if (code.toLowerCase().includes(name)) offenders.push(`${file}: ${name}`);
    }
  }
  assert.deepEqual(offenders, []);
});
