// Secrets: every source, and that none of them reaches a log line or an answer.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { loadConfig } from "../../gateway/config/load.ts";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { bearer, chat, type Folder, fakeConfig, makeFolder, startGateway } from "../support/gateway.ts";

let folder: Folder;
let upstream: FakeUpstream;
before(async () => {
  folder = makeFolder();
  upstream = await startFakeUpstream();
});
after(async () => {
  await upstream.close();
  folder.remove();
});

const planted = 'pl"anted/secret+äö==';

test("file, pointer into a file, environment and program", async () => {
  folder.write("one", "from-file\r\n");
  folder.write("all.json", { "a/b": { key: "from-pointer" } });
  const program = folder.write("program", '#!/bin/sh\necho "from-program $1"\n', 0o700);
  const ref = (source: "file" | "env" | "exec", provider: string, id: string) => ({ source, provider, id });
  const tokens = [
    ref("file", "one", "value"),
    ref("file", "all", "/a~1b/key"),
    ref("env", "env", "FROM_ENV"),
    ref("exec", "program", "x"),
  ];
  const path = folder.write("openclaw.json", {
    gateway: { auth: { token: tokens[0] } },
    secrets: {
      providers: {
        one: { source: "file", path: "one", mode: "singleValue" },
        all: { source: "file", path: "all.json" },
        env: { source: "env", allowlist: ["FROM_ENV"] },
        program: { source: "exec", command: program },
      },
    },
    plugins: {
      entries: {
        "openclaw-stack": {
          config: { demo: { enabled: true }, tokens: tokens.map((token, index) => ({ id: `t${index}`, token })) },
        },
      },
    },
  });
  const { secrets } = await loadConfig({ env: { FROM_ENV: "from-env", PATH: process.env.PATH }, path });
  assert.deepEqual(
    tokens.map((token) => secrets.reveal(token)),
    ["from-file", "from-pointer", "from-env", "from-program x"],
  );
  folder.write("one", "changed");
  assert.equal((await secrets.refresh()).changed, true);
  assert.equal(secrets.reveal(tokens[0] ?? ""), "changed");
});

test("a planted key is sent to the upstream and shows nowhere else, whatever fails", async () => {
  const gateway = await startGateway({
    ...fakeConfig(upstream.baseUrl),
    models: {
      providers: {
        fake: {
          api: "openai-completions",
          baseUrl: upstream.baseUrl,
          apiKey: planted.replace(/[^ -~]/g, ""),
          models: [{ id: "fake-model" }],
        },
      },
    },
  });
  try {
    const key = planted.replace(/[^ -~]/g, "");
    const seen: string[] = [];
    await upstream.script([
      { status: 401, errorBody: { error: { message: `Incorrect API key: ${key}` } } },
      { status: 500, errorBody: { error: { message: key } } },
      { raw: `${key}\r\n` },
      { reset: "before-headers" },
      {},
    ]);
    for (let round = 0; round < 5; round += 1) seen.push(await (await chat(gateway.url, { model: "fake-model" })).text());
    assert.equal((await upstream.ledger()).at(-1)?.headers.authorization, `Bearer ${key}`);
    gateway.app.context.log.error("test", `a library's text with ${key} and ${encodeURIComponent(key)} in it`);
    for (const path of ["/metrics", "/readyz", "/", "/v1/models"])
      seen.push(await (await fetch(gateway.url + path, { headers: bearer })).text());
    const text = [...seen, ...gateway.lines].join("\n");
    for (const form of [key, JSON.stringify(key).slice(1, -1), encodeURIComponent(key), Buffer.from(key).toString("base64")]) {
      assert.ok(!text.includes(form), `found ${form}`);
    }
    assert.match(text, /a library's text with \[secret\] and \[secret\] in it/);
  } finally {
    await gateway.close();
  }
});
