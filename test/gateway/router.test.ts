// From a model's name to a provider: the order of names, ambiguity, and what a client is told.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Provider } from "../../gateway/models/provider.ts";
import { createRouter } from "../../gateway/models/router.ts";

function provider(id: string, models: string[]): Provider {
  return {
    id,
    kind: "test",
    models: models.map((model) => ({ id: model })),
    apis: ["chat-completions"],
    call: () => ({ abort() {}, resume() {} }),
    listServed: async () => [],
    close: async () => {},
  };
}

const router = createRouter({
  providers: [
    provider("vllm-local", ["Qwen/Qwen3.5-35B-A3B-FP8", "shared"]),
    provider("cloud", ["gpt-5", "gpt-5-mini", "shared", "vllm-local/odd"]),
    provider("open", []),
  ],
  primary: "cloud/gpt-5",
  fallbacks: ["vllm-local/shared", "gone/model"],
  aliases: new Map([
    ["fast", "cloud/gpt-5-mini"],
    ["shared-alias", "vllm-local/shared"],
  ]),
});

const names: [string, string][] = [
  ["vllm-local/Qwen/Qwen3.5-35B-A3B-FP8", "vllm-local Qwen/Qwen3.5-35B-A3B-FP8"],
  ["Qwen/Qwen3.5-35B-A3B-FP8", "vllm-local Qwen/Qwen3.5-35B-A3B-FP8"],
  ["gpt-5", "cloud gpt-5"],
  ["fast", "cloud gpt-5-mini"],
  ["cloud/shared", "cloud shared"],
  ["shared-alias", "vllm-local shared"],
  ["vllm-local/odd", "cloud vllm-local/odd"],
  ["vllm-local/Qwen3.5-35B", "vllm-local Qwen/Qwen3.5-35B-A3B-FP8"],
  ["Qwen3.5-35B-A3B-FP8", "vllm-local Qwen/Qwen3.5-35B-A3B-FP8"],
  ["qwen3.5-35b", "vllm-local Qwen/Qwen3.5-35B-A3B-FP8"],
  ["open/any/model", "open any/model"],
];
for (const [name, wanted] of names) {
  test(`${name} -> ${wanted}`, () => {
    const route = router.resolve(name);
    assert.equal(`${route.provider.id} ${route.model}`, wanted);
  });
}

test("a completed name carries a note, an exact one does not", () => {
  assert.match(router.resolve("qwen3.5-35b").note ?? "", /taken for vllm-local\/Qwen/);
  assert.equal(router.resolve("gpt-5").note, undefined);
});

test("an id that two providers serve is ambiguous, and the answer lists both", () => {
  assert.throws(() => router.resolve("shared"), { code: "model_ambiguous", message: /"vllm-local\/shared", "cloud\/shared"/ });
});

test("an unknown name lists the nearest, or what there is", () => {
  assert.throws(() => router.resolve("gtp-5"), { code: "model_not_found", message: /Did you mean "gpt-5"\?/ });
  assert.throws(() => router.resolve("zzzzzzzz"), { code: "model_not_found", message: /There is "vllm-local\/Qwen/ });
});

test("default and fallbacks; what does not exist is left out", () => {
  assert.equal(router.defaultRoute?.model, "gpt-5");
  assert.deepEqual(
    router.fallbacks.map((route) => route.provider.id),
    ["vllm-local"],
  );
});

test("the upstream's own list completes ids and fills providers without a list", () => {
  const learning = createRouter({
    providers: [provider("ollama", ["llama3.2"]), provider("any", [])],
    primary: undefined,
    fallbacks: [],
    aliases: new Map(),
  });
  assert.equal(learning.resolve("llama3.2").model, "llama3.2");
  learning.learn("ollama", ["llama3.2:latest", "other"]);
  learning.learn("any", ["served"]);
  assert.equal(learning.resolve("llama3.2").model, "llama3.2:latest");
  assert.equal(learning.resolve("served").provider.id, "any");
  assert.throws(() => learning.resolve("other"), { code: "model_not_found" }, "what the config does not list is not offered");
});

test("a fallback that leads nowhere is told of once, and not before its provider's list could be known", () => {
  const unknown: string[] = [];
  const made = createRouter({
    providers: [provider("main", ["big"]), provider("open", [])],
    primary: "main/big",
    fallbacks: ["small", "served"],
    aliases: new Map(),
    onUnknown: (name) => unknown.push(name),
  });
  const main = made.resolve("main/big");
  assert.deepEqual(made.fallbacksOf(main), []);
  assert.deepEqual(unknown, []);
  made.learn("open", ["served"]);
  assert.deepEqual(
    made.fallbacksOf(main).map(({ model }) => model),
    ["served"],
  );
  made.learn("open", ["served"]);
  made.fallbacksOf(main);
  assert.deepEqual(unknown, ["small"]);
});

test("a member of a pool may be said in short", () => {
  const made = createRouter({
    providers: [provider("vllm", ["Qwen/Qwen3.5-35B-A3B-FP8"])],
    primary: undefined,
    fallbacks: [],
    aliases: new Map(),
    routing: { pools: { pool: { members: ["vllm/Qwen3.5-35B"], sticky: "none" } }, fallbacks: {} },
  });
  assert.equal(made.resolve("pool").pool?.members[0]?.route.model, "Qwen/Qwen3.5-35B-A3B-FP8");
});
