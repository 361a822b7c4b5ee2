/** The official openai client against a gateway that `up` deployed, in front of a fake model server in its own process. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../support/free-port.ts";
import { makeClone } from "../support/local-clone.ts";
import { openaiClientSuite } from "../support/openai-client-suite.ts";

openaiClientSuite(async (upstreamBaseUrl) => {
  const clone = makeClone("openai");
  const port = await freePort();
  const example = readFileSync(join(clone.directory, "stacks/examples/local.yaml"), "utf8");
  const models = `  openclaw-stack:models:
    default: fake/fake-model
    providers:
      fake:
        baseUrl: ${upstreamBaseUrl}
        api: openai-completions
        models: [fake-model]
`;
  writeFileSync(clone.stackFile, example.replace("port: 18789", `port: ${port}`) + models);
  const up = await clone.operate(["up"]);
  assert.equal(up.code, 0, up.text);
  const token = (await clone.operate(["token"])).stdout.trim();
  return {
    url: `http://127.0.0.1:${port}`,
    token,
    async close() {
      const destroyed = await clone.operate(["destroy"]);
      await clone.remove();
      assert.equal(destroyed.code, 0, destroyed.text);
    },
  };
});
