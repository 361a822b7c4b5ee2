/** Faults in settings: every one has its path and its fix, all are told at once, and no value of a secret is shown. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { parseSettings, type RawSetting } from "../../infra/settings.ts";
import { assertGolden } from "../support/golden-file.ts";

const valid = { demo: { enabled: true } };
const provider = { baseUrl: "http://127.0.0.1:8000/v1", models: ["small"] };
const secretValue = "s3cret-value-that-must-not-show";

/** Plain values are given as a stack file holds them; `!` in front of a key marks a secret. */
const cases: { [name: string]: { [key: string]: unknown } } = {
  "unknown section": { ...valid, gatway: { port: 1 } },
  "unknown key": { ...valid, gateway: { prot: 18789 } },
  "unknown key of a provider": { models: { providers: { vllm: { ...provider, baseurl: "x" } } } },
  "unknown key of a list's entry": {
    models: { providers: { vllm: { ...provider, models: [{ id: "a", contextWindwo: 1 }] } } },
  },
  "port as text": { ...valid, gateway: { port: "eighteen" } },
  "port out of range": { ...valid, gateway: { port: 70000 } },
  "bind misspelt": { ...valid, gateway: { bind: "lna" } },
  "section is a text": { ...valid, gateway: "18789" },
  "section is a list": { ...valid, logging: [] },
  "target unknown": { ...valid, target: "lcoal" },
  "target not a text": { ...valid, target: 7 },
  "no provider and no demo": {},
  "provider without address": { models: { providers: { vllm: { models: ["a"] } } } },
  "provider's address is none": { models: { providers: { vllm: { baseUrl: "127.0.0.1:8000" } } } },
  "provider's address holds a password": { models: { providers: { vllm: { baseUrl: "http://me:pw@127.0.0.1/v1" } } } },
  "provider's kind unknown": { models: { providers: { vllm: { ...provider, api: "openai-completion" } } } },
  "provider's id with a space": { models: { providers: { "my vllm": provider } } },
  "key in clear": { models: { providers: { vllm: { ...provider, apiKey: secretValue } } } },
  "key in clear in its own setting": { models: { providers: { vllm: provider } }, "apiKey-vllm": secretValue },
  "key of no provider": { models: { providers: { vllm: provider } }, "!apiKey-vlm": secretValue },
  "key twice": {
    models: { providers: { vllm: { ...provider, apiKey: { source: "env", provider: "default", id: "X" } } } },
    "!apiKey-vllm": secretValue,
  },
  "reference to a secret that is not there": {
    ...valid,
    cluster: { redisUrl: { source: "file", provider: "stack", id: "redis" } },
  },
  "secret that nothing refers to": { ...valid, "!secret-redis": secretValue },
  "secret in clear in its own setting": {
    ...valid,
    cluster: { redisUrl: { source: "file", provider: "stack", id: "redis" } },
    "secret-redis": secretValue,
  },
  "password of Redis in clear": { ...valid, cluster: { redisUrl: `redis://:${secretValue}@127.0.0.1:6379` } },
  "password of Redis in clear, and the key of a server that embeds": {
    ...valid,
    cluster: { redisUrl: "redis://127.0.0.1:6379", redisPassword: secretValue },
    memory: { search: { remote: { apiKey: secretValue } } },
  },
  "key of a client certificate in clear": {
    models: { providers: { vllm: { ...provider, request: { tls: { key: secretValue } } } } },
  },
  "key in a header in clear": {
    models: { providers: { vllm: { ...provider, headers: { Authorization: `Bearer ${secretValue}` } } } },
  },
  "key with a line break": { models: { providers: { vllm: provider } }, "!apiKey-vllm": `${secretValue}\n` },
  "empty key": { models: { providers: { vllm: provider } }, "!apiKey-vllm": "" },
  "short token": { ...valid, "!gatewayToken": "short" },
  "token in clear": { ...valid, gateway: { auth: { token: secretValue } } },
  "a whole section encrypted": { ...valid, "!gateway": { port: 18789 } },
  "named token without its secret": { ...valid, tokens: [{ id: "ci" }] },
  "named token in clear": { ...valid, tokens: [{ id: "ci", token: secretValue }] },
  "secret of no named token": { ...valid, tokens: [], "!token-ci": secretValue },
  "old token without its secret": {
    ...valid,
    tokens: [{ id: "ci", previous: { expiresAt: "2026-12-31T00:00:00Z" } }],
    rotation: { previousToken: { expiresAt: "2026-12-31T00:00:00Z" } },
    "!token-ci": secretValue,
  },
  "old token without an end": {
    ...valid,
    tokens: [{ id: "ci" }],
    "!token-ci": secretValue,
    "!previousToken-ci": secretValue,
    "!previousGatewayToken": secretValue,
  },
  "old token in clear": {
    ...valid,
    tokens: [{ id: "ci", previous: { token: secretValue, expiresAt: "2026-12-31T00:00:00Z" } }],
    "!token-ci": secretValue,
  },
  "token from no network": { ...valid, tokens: [{ id: "ci", allowFrom: ["10.0.0.0/33"] }], "!token-ci": secretValue },
  "budget of a wrong kind": {
    ...valid,
    tokens: [{ id: "ci", budget: { amount: 5, window: "year" } }],
    "!token-ci": secretValue,
  },
  "custom bind without address": { ...valid, gateway: { bind: "custom" } },
  "open to everybody": { ...valid, gateway: { bind: "lan", auth: { mode: "none" } } },
  "default of an unknown provider": { models: { default: "vlm/small", providers: { vllm: provider } } },
  "default said twice": {
    models: { default: "vllm/small", providers: { vllm: provider } },
    agents: { defaults: { model: "vllm/small" } },
  },
  "workers neither number nor auto": { ...valid, workers: "many" },
  "negative time": { ...valid, drain: { timeoutMs: -1 } },
  "level misspelt": { ...valid, logging: { level: "debugg" } },
  "many at once": {
    target: "moon",
    gateway: { prot: 1, bind: "lann" },
    models: { providers: { vllm: { apiKey: secretValue } } },
    "!apiKey-x": secretValue,
  },
};

function toRaw(written: { [key: string]: unknown }): { [key: string]: RawSetting } {
  return Object.fromEntries(
    Object.entries(written).map(([key, value]) => [
      key.replace(/^!/, ""),
      { value: typeof value === "string" ? value : JSON.stringify(value), secret: key.startsWith("!") },
    ]),
  );
}

test("each fault says where, what and how to mend it", () => {
  let text = "";
  for (const [name, written] of Object.entries(cases)) {
    const { settings, faults } = parseSettings(toRaw(written), ["local"]);
    assert.equal(settings, undefined, `${name}: accepted`);
    assert.ok(faults.length > 0, `${name}: no fault`);
    text += `${name}\n${faults.map(({ path, message }) => `  ${path}: ${message}\n`).join("")}`;
  }
  assert.ok(!text.includes(secretValue), "a secret is shown");
  assertGolden(join(import.meta.dirname, "golden/settings-faults.txt"), text);
});

test("numbers, booleans and objects come as text and are read as what they are", () => {
  const { settings, faults } = parseSettings(
    toRaw({ keepData: true, workers: 2, gateway: { port: 20000 }, ...valid, "!gatewayToken": "0123456789abcdef" }),
    ["local"],
  );
  assert.deepEqual(faults, []);
  assert.equal(settings?.keepData, true);
  assert.equal(settings?.workers, 2);
  assert.equal(settings?.gateway.port, 20000);
  assert.equal(settings?.gateway.bind, "loopback");
  assert.equal(settings?.secrets.gatewayToken, "0123456789abcdef");
});
