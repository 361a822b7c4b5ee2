/** Named tokens of the stack `local`, by the operator's commands: made, limited, rotated and revoked while the gateway runs. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, test } from "node:test";
import { freePort } from "../support/free-port.ts";
import { type LocalClone, makeClone } from "../support/local-clone.ts";

let place: LocalClone | undefined;
after(() => place?.remove());

test("create, use, rotate, revoke; and what is made survives `up`", async () => {
  place = makeClone("tokens");
  const { operate, stackFile } = place;
  const port = await freePort();
  writeFileSync(
    stackFile,
    `# Kept.\nconfig:\n  openclaw-stack:target: local\n  openclaw-stack:gateway: { port: ${port} }\n  openclaw-stack:demo: { enabled: true, delayMs: 0 }\n`,
  );
  const made = await operate(["token", "create", "ci", "--requests-per-minute", "5", "--allow-from", "127.0.0.0/8"]);
  assert.equal(made.code, 0, made.text);
  assert.match(made.stderr, /npm run up/, "nothing is deployed yet");
  const ci = made.stdout.trim();
  assert.match(ci, /^[A-Za-z0-9]{43}$/);
  assert.equal((await operate(["token", "create", "ci"])).code, 255, "there is one already");
  const up = await operate(["up"]);
  assert.equal(up.code, 0, up.text);

  const ask = async (token: string): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: '{"model":"demo","messages":[]}',
    });
    await response.arrayBuffer();
    return response.status;
  };
  assert.equal(await ask(ci), 200);

  const rotated = await operate(["token", "rotate", "ci", "--overlap", "1h"]);
  assert.equal(rotated.code, 0, rotated.text);
  const newer = rotated.stdout.trim();
  assert.notEqual(newer, ci);
  assert.deepEqual([await ask(ci), await ask(newer)], [200, 200], "both are let in, without another command");

  const list = await operate(["token", "list"]);
  assert.match(list.stdout, /^ci +active +read,write +all +5 requests\/min, from 127\.0\.0\.0\/8 +never \(the one before: 20/m);
  const text = readFileSync(stackFile, "utf8");
  for (const value of [ci, newer]) assert.ok(!list.text.includes(value) && !text.includes(value));
  assert.match(text, /^# Kept\.$/m);

  const revoked = await operate(["token", "revoke", "ci"]);
  assert.equal(revoked.code, 0, revoked.text);
  assert.deepEqual([await ask(ci), await ask(newer)], [401, 401]);
  assert.match((await operate(["token", "list"])).stdout, /no named tokens/);
  assert.doesNotMatch(readFileSync(stackFile, "utf8"), /oken-ci/);
  assert.equal((await operate(["token"])).stdout.trim().length, 43, "the gateway's own is not touched");
});
