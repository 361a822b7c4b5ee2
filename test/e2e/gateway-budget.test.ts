// A budget under 64 requests at a time, in one process and over workers: spent beyond it is at most what was under way.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { freePort } from "../support/free-port.ts";
import { type Folder, makeFolder, spawnGateway, token } from "../support/gateway.ts";

let upstream: FakeUpstream;
let folder: Folder;
before(async () => {
  upstream = await startFakeUpstream();
  folder = makeFolder();
});
after(async () => {
  await upstream.close();
  folder.remove();
});

const teamToken = "team-token-0123456789";
/** Seven tokens read and five written, by the prices below. */
const costOfOne = (7 * 1000 + 5 * 1000) / 1e6;
const budget = 3;
const atATime = 64;

for (const workers of [1, 4]) {
  test(`${workers} ${workers === 1 ? "process" : "workers"}: the budget is spent, and exceeded by no more than what was under way`, async (t) => {
    const stateDir = join(folder.path, `budget-${workers}`);
    mkdirSync(stateDir);
    const port = await freePort();
    const config = folder.write(`budget-${workers}.json`, {
      gateway: { auth: { token }, port },
      models: {
        providers: {
          fake: {
            api: "openai-completions",
            baseUrl: upstream.baseUrl,
            models: [{ id: "fake-model", cost: { input: 1000, output: 1000 }, maxTokens: 5 }],
          },
        },
      },
      plugins: {
        entries: {
          "openclaw-stack": {
            config: { workers, tokens: [{ id: "team", token: teamToken, budget: { amount: budget, window: "total" } }] },
          },
        },
      },
    });
    await upstream.script([{ delayMs: 5 }]);
    const gateway = spawnGateway(config, stateDir, port);
    try {
      await gateway.says("gateway_ready");
      let refused = 0;
      let answered = 0;
      const body = JSON.stringify({ model: "fake-model", max_tokens: 5, messages: [{ role: "user", content: "hi" }] });
      const loop = async (): Promise<void> => {
        // Until it is refused for good: a lease of another process may leave something for later.
        for (let inARow = 0; inARow < 5; ) {
          const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
            method: "POST",
            headers: { authorization: `Bearer ${teamToken}`, "content-type": "application/json" },
            body,
          });
          await response.arrayBuffer();
          if (response.status === 200) {
            answered += 1;
            inARow = 0;
          } else {
            assert.equal(response.status, 429);
            refused += 1;
            inARow += 1;
          }
        }
      };
      await Promise.all(Array.from({ length: atATime }, loop));
      const asked = (await upstream.ledger()).length;
      const spent = asked * costOfOne;
      t.diagnostic(`${asked} calls for ${spent.toFixed(3)} of ${budget}; ${refused} refused`);
      assert.equal(asked, answered);
      assert.ok(spent <= budget + atATime * costOfOne + 1e-9, `${spent} of ${budget}`);
      assert.ok(spent >= budget * 0.5, `only ${spent} of ${budget} could be spent`);

      // The books say the same as the upstream.
      const response = await fetch(`http://127.0.0.1:${port}/api/usage?token=team`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const report: unknown = await response.json();
      const { totals } = Object(report);
      assert.equal(totals.requests, asked);
      assert.equal(Number(totals.cost.USD).toFixed(6), spent.toFixed(6));
      gateway.child.kill("SIGTERM");
      assert.equal(await gateway.exited, 0);
    } finally {
      await gateway.stop();
    }
  });
}
