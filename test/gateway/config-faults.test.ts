// Each fault of a config is one clear error with file, line, path and fix; the texts are kept as golden files.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ConfigError } from "../../gateway/config/faults.ts";
import { loadConfig } from "../../gateway/config/load.ts";
import { type Folder, makeFolder } from "../support/gateway.ts";

const ok = `models: { providers: { a: { baseUrl: "http://127.0.0.1:1/v1" } } }`;

interface Case {
  config: string | null;
  file?: string;
  env?: Record<string, string>;
  files?: Record<string, [content: string, mode: number]>;
}

/** Name -> what is wrong. The name is the golden file's. */
const cases: Record<string, Case> = {
  "no-file": { config: null },
  empty: { config: "" },
  "nothing-configured": { config: "{}" },
  "not-json5": { config: `{\n  gateway: { port: 1 \n  models: {} }` },
  "not-yaml": { file: "config.yaml", config: "gateway:\n  port: [1\nmodels: {}\n" },
  "not-an-object": { config: "[1, 2]" },
  "typing-error": { config: `{\n  gateway: {\n    prot: 18790,\n  },\n  ${ok},\n}` },
  "key-that-lives-elsewhere": { config: `{\n  model: "a/b",\n  reserveTokensFloor: 5,\n  ${ok},\n}` },
  "key-without-a-near-one": { config: `{ gateway: { frobnicate: true }, ${ok} }` },
  "port-as-text": { config: `{ gateway: { port: "18789" }, ${ok} }` },
  "port-too-large": { config: `{ gateway: { port: 70000 }, ${ok} }` },
  "unknown-choice": { config: `{ gateway: { bind: "everywhere" }, ${ok} }` },
  "provider-without-address": { config: `{ models: { providers: { a: {} } } }` },
  "provider-address": { config: `{ models: { providers: { a: { baseUrl: "localhost:8000" } } } }` },
  "password-in-address": { config: `{ models: { providers: { a: { baseUrl: "http://user:hunter2@host/v1" } } } }` },
  "provider-kind": { config: `{ models: { providers: { a: { api: "telepathy", baseUrl: "http://h/v1" } } } }` },
  "provider-name": { config: `{ models: { providers: { "a/b": { baseUrl: "http://h/v1" } } } }` },
  "model-input": {
    config: `{ models: { providers: { a: { baseUrl: "http://h/v1", models: [{ id: "m", input: ["text", "video"] }] } } } }`,
  },
  "model-twice": { config: `{ models: { providers: { a: { baseUrl: "http://h/v1", models: ["m", "m"] } } } }` },
  "pool-member": {
    config: `{\n  ${ok},\n  plugins: { entries: { "openclaw-stack": { config: { routing: { pools: { both: { members: ["a/m", "b/m"] } } } } } } },\n}`,
  },
  "model-names": {
    config: `{
  models: { providers: { a: { baseUrl: "http://127.0.0.1:1/v1", models: ["big", "small"] } } },
  agents: { defaults: { model: { primary: "a/bgi", fallbacks: ["a/small", "a/nothing", "elsewhere/model"] } } },
  plugins: { entries: { "openclaw-stack": { config: { routing: {
    pools: { both: { members: ["a/big", "a/smal"] } },
    fallbacks: { "a/big": ["a/small", "smalll"], "botth": ["a/big"] },
    hedge: { afterMs: 100, models: { "a/large": false } },
  } } } } },
}`,
  },
  "hedge-twice": {
    config: `{ ${ok}, plugins: { entries: { "openclaw-stack": { config: { routing: { hedge: { afterMs: 5, quantile: 0.9 } } } } } } }`,
  },
  "open-without-token": { config: `{\n  gateway: { bind: "lan" },\n  ${ok} }` },
  "old-bind-without-token": { config: `{ gateway: { bind: "0.0.0.0:18789" }, ${ok} }` },
  "token-mode-without-token": { config: `{ gateway: { auth: { mode: "token" } }, ${ok} }` },
  "environment-variable-missing": { config: `{ gateway: { auth: { token: "\${GATEWAY_TOKEN_X}" } }, ${ok} }` },
  "environment-port": { config: `{ ${ok} }`, env: { OPENCLAW_GATEWAY_PORT: "eighty" } },
  "include-missing": { config: `{ $include: "./more.json5", ${ok} }` },
  "include-of-itself": {
    config: `{ $include: "./more.json5", ${ok} }`,
    files: { "more.json5": [`{ $include: "./openclaw.json" }`, 0o600] },
  },
  "fault-in-an-include": {
    config: `{ gateway: { $include: "./more.json5" }, ${ok} }`,
    files: { "more.json5": [`{\n  // ours\n  bnid: "lan",\n}`, 0o600] },
  },
  "secret-provider-missing": {
    config: `{ gateway: { auth: { token: { source: "file", provider: "vault", id: "value" } } }, ${ok} }`,
  },
  "secret-file-missing": {
    config: `{ gateway: { auth: { token: { source: "file", provider: "t", id: "value" } } }, secrets: { providers: { t: { source: "file", path: "token", mode: "singleValue" } } }, ${ok} }`,
  },
  "secret-file-open-to-others": {
    config: `{ gateway: { auth: { token: { source: "file", provider: "t", id: "value" } } }, secrets: { providers: { t: { source: "file", path: "token", mode: "singleValue" } } }, ${ok} }`,
    files: { token: ["planted-secret\n", 0o644] },
  },
  "secret-pointer": {
    config: `{ gateway: { auth: { token: { source: "file", provider: "t", id: "/b" } } }, secrets: { providers: { t: { source: "file", path: "all.json" } } }, ${ok} }`,
    files: { "all.json": [`{"a":"planted-secret"}`, 0o600] },
  },
  "secret-source": {
    config: `{ gateway: { auth: { token: { source: "env", provider: "t", id: "T" } } }, secrets: { providers: { t: { source: "file", path: "token" } } }, ${ok} }`,
  },
  "token-as-number": { config: `{ gateway: { auth: { token: 12345678 } }, ${ok} }` },
  "token-id-twice": {
    config: `{ plugins: { entries: { "openclaw-stack": { config: { demo: { enabled: true }, tokens: [{ id: "a", token: "x1" }, { id: "a", token: "x2" }] } } } } }`,
  },
  "token-id-of-the-gateway": {
    config: `{ plugins: { entries: { "openclaw-stack": { config: { demo: { enabled: true }, tokens: [{ id: "token", token: "x1" }] } } } } }`,
  },
  "token-date": {
    config: `{ plugins: { entries: { "openclaw-stack": { config: { demo: { enabled: true }, tokens: [{ id: "a", token: "x1", expiresAt: "tomorrow" }] } } } } }`,
  },
  "our-key-misspelt": {
    config: `{ plugins: { entries: { "openclaw-stack": { config: { wrokers: 2, demo: { enabled: true } } } } } }`,
  },
  "set-twice": {
    config: `{ models: { default: "a/x", providers: { a: { baseUrl: "http://h/v1" } } }, agents: { defaults: { model: { primary: "a/y" } } } }`,
  },
  "alias-twice": { config: `{ agents: { defaults: { models: { "a/x": { alias: "f" }, "a/y": { alias: "f" } } } }, ${ok} }` },
  "trusted-proxy-address": { config: `{ gateway: { trustedProxies: ["10.0.0.0/40"] }, ${ok} }` },
  "several-at-once": {
    config: `{\n  gateway: { port: 0, bnd: "lan" },\n  models: {\n    providers: { a: { baseUrl: "x" } },\n  },\n  logging: { level: "loud" },\n}`,
  },
  yaml: {
    file: "config.yaml",
    config: `gateway:\n  port: 18789\n  reload:\n    modus: hot\nmodels:\n  providers:\n    a:\n      base_url: ftp://x\n`,
  },
};

let folder: Folder;
before(() => {
  folder = makeFolder();
});
after(() => folder.remove());

for (const [name, fault] of Object.entries(cases)) {
  test(name, async () => {
    const file = join(folder.path, fault.file ?? "openclaw.json");
    if (fault.config !== null) folder.write(fault.file ?? "openclaw.json", fault.config);
    for (const [other, [content, mode]] of Object.entries(fault.files ?? {})) folder.write(other, content, mode);
    const path = fault.config === null ? join(folder.path, "missing.json") : file;
    const error = await loadConfig({ env: { HOME: folder.path, ...fault.env }, path }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof ConfigError, `refused: ${error}`);
    const text = `${error.message.replaceAll(folder.path, "/config")}\n`;
    assert.doesNotMatch(text, /hunter2|planted-secret|12345678|\n {4}at /, "no secret, no stack trace");
    const golden = join(import.meta.dirname, "golden/config", `${name}.txt`);
    if (process.env.UPDATE_GOLDEN || !existsSync(golden)) {
      assert.ok(process.env.UPDATE_GOLDEN, `${golden} is missing: run with UPDATE_GOLDEN=1 and read what it says`);
      writeFileSync(golden, text);
    }
    assert.equal(text, readFileSync(golden, "utf8"));
  });
}
