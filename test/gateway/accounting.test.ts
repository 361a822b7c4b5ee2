// The books against an upstream that counts its own tokens: equal where it said them, within 2 % and flagged where it did not.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import {
  type Counted,
  type CountingUpstream,
  type Plan,
  seeded,
  someTokens,
  startCountingUpstream,
} from "../support/counting-upstream.ts";
import { startGateway, type TestGateway, token } from "../support/gateway.ts";
import { metricsOf } from "../support/two-upstreams.ts";

const apis = ["chat", "messages", "responses"] as const;
type Api = (typeof apis)[number];
type Fate = "whole" | "stream" | "left" | "broken" | "failover";
const fates: readonly Fate[] = ["whole", "stream", "left", "broken", "failover"];

interface Round {
  readonly id: string;
  readonly api: Api;
  readonly provider: string;
  readonly fate: Fate;
  readonly plan: Plan;
  readonly prompt: string;
  readonly input: number;
}

function makeRounds(count: number): Map<string, Round> {
  const random = seeded(1);
  const rounds = new Map<string, Round>();
  for (let index = 0; index < count; index += 1) {
    const id = `round-${index}`;
    const fate = fates[index % fates.length] ?? "whole";
    const api = apis[Math.floor(random() * apis.length)] ?? "chat";
    const provider = ["chat", "messages", "responses"][Math.floor(random() * 3)] ?? "chat";
    const tokens = 40 + Math.floor(random() * 400);
    const prompt = someTokens(20 + Math.floor(random() * 300), random);
    const stops = fate === "left" || fate === "broken";
    const stopAt = { tokens: Math.floor(tokens / 2), how: fate === "left" ? ("stand" as const) : ("break" as const) };
    const plan = { tokens, usage: random() > 1 / 3, ...(stops ? { stopAt } : {}) };
    rounds.set(id, { id, api, provider, fate, plan, prompt: prompt.join(""), input: prompt.length });
  }
  return rounds;
}

const paths = { chat: "/v1/chat/completions", messages: "/v1/messages", responses: "/v1/responses" };

/** Reads all that comes; one that is to leave does so when the upstream stands still and all that it wrote has come. */
async function ask(gateway: TestGateway, round: Round, books: () => Counted | undefined): Promise<void> {
  const { api, provider, fate, prompt, id, plan } = round;
  const streamed = fate !== "whole";
  const model = `${fate === "failover" ? "ill" : provider}/m`;
  const messages = [{ role: "user", content: prompt }];
  const body =
    api === "responses" ? { model, stream: streamed, input: prompt } : { model, stream: streamed, messages, max_tokens: 4096 };
  const request = http.request(`${gateway.url}${paths[api]}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", "x-request-id": id },
  });
  request.on("error", () => undefined);
  request.end(JSON.stringify(body));
  const [response]: http.IncomingMessage[] = await once(request, "response");
  assert.ok(response);
  assert.equal(response.statusCode, 200, id);
  let text = "";
  const wanted = fate === "left" ? textOf(plan, id) : undefined;
  response.setEncoding("utf8").on("data", (piece: string) => {
    text += piece;
    if (wanted !== undefined && books()?.output === plan.stopAt?.tokens && deltas(text) === wanted) request.destroy();
  });
  response.on("error", () => undefined);
  await new Promise((resolve) => response.once("close", resolve));
  assert.equal(response.complete, fate !== "left" && fate !== "broken", id);
}

/** What the upstream wrote up to where it stands. */
function textOf(plan: Plan, id: string): string {
  const random = seeded([...id].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7));
  return someTokens(plan.tokens, random).slice(0, plan.stopAt?.tokens).join("");
}

/** The text in a stream of any API. */
function deltas(stream: string): string {
  let text = "";
  for (const line of stream.split("\n")) {
    if (!line.startsWith("data: {")) continue;
    let value: unknown;
    try {
      value = JSON.parse(line.slice(6));
    } catch {
      continue;
    }
    const event = Object(value);
    const delta: unknown = event.choices?.[0]?.delta?.content ?? event.delta?.text ?? event.delta;
    if (typeof delta === "string") text += delta;
  }
  return text;
}

interface Kept {
  readonly input: number;
  readonly output: number;
  readonly estimated: boolean;
}

function booksOf(gateway: TestGateway): Map<string, Kept> {
  const database = new DatabaseSync(join(gateway.folder.path, "usage.sqlite"), { readOnly: true });
  const rows = database.prepare("SELECT request_id, provider, input, output, estimated FROM usage").all();
  database.close();
  return new Map(
    rows.map((row) => [
      `${row.request_id} ${row.provider}`,
      { input: Number(row.input), output: Number(row.output), estimated: row.estimated === 1 },
    ]),
  );
}

test("mixed kinds, cut streams, failovers: the books are the upstream's own", async (t) => {
  const rounds = makeRounds(600);
  const roundOf = (id: string): Round => {
    const round = rounds.get(id);
    assert.ok(round, id);
    return round;
  };
  const servers: CountingUpstream[] = [];
  for (const name of ["chat", "messages", "responses"])
    servers.push(
      await startCountingUpstream(
        name,
        (id) => roundOf(id).plan,
        (id) => roundOf(id).input,
      ),
    );
  const ill = await startCountingUpstream(
    "ill",
    () => ({ tokens: 0, usage: false, status: 503 }),
    () => 0,
  );
  const [chat, messages, responses] = servers;
  assert.ok(chat && messages && responses);
  const models = [{ id: "m", cost: { input: 1, output: 2 } }];
  const close = async (): Promise<void> => {
    for (const server of [...servers, ill]) await server.close();
  };
  t.after(close);
  const gateway = await startGateway({
    gateway: { auth: { token } },
    models: {
      providers: {
        chat: { api: "openai-completions", baseUrl: chat.baseUrl, models },
        messages: { api: "anthropic-messages", baseUrl: messages.baseUrl, models },
        responses: { api: "openai-responses", baseUrl: responses.baseUrl, models },
        ill: { api: "openai-completions", baseUrl: ill.baseUrl, models },
      },
    },
    plugins: {
      entries: {
        "openclaw-stack": {
          config: {
            routing: {
              fallbacks: { "ill/m": ["chat/m"] },
              breaker: { failures: 100_000, errorRate: { minRequests: 100_000 } },
            },
          },
        },
      },
    },
  });
  try {
    const waiting = [...rounds.values()];
    const all = (): Counted[] => [...servers, ill].flatMap((server) => server.books);
    const worker = async (): Promise<void> => {
      for (let round = waiting.shift(); round; round = waiting.shift()) {
        const { id } = round;
        await ask(gateway, round, () => servers.flatMap((server) => server.books).find((entry) => entry.id === id));
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    const report = await gateway.app.context.usage.report({ from: 0, to: Date.now() + 1, groupBy: [] });
    const kept = booksOf(gateway);
    const ledger = all();
    assert.equal(kept.size, ledger.length, "one record for each try");
    const sums = { input: 0, output: 0, keptInput: 0, keptOutput: 0, count: 0 };
    for (const entry of ledger) {
      const record = kept.get(`${entry.id} ${entry.server}`);
      assert.ok(record, entry.id);
      if (entry.told) {
        assert.deepEqual(
          record,
          { input: entry.input, output: entry.output, estimated: false },
          JSON.stringify(roundOf(entry.id)),
        );
        continue;
      }
      assert.equal(record.estimated, entry.output > 0, `${entry.id} is flagged`);
      sums.input += entry.input;
      sums.output += entry.output;
      sums.keptInput += record.input;
      sums.keptOutput += record.output;
      sums.count += 1;
    }
    const off = (a: number, b: number): number => Math.abs(a - b) / b;
    t.diagnostic(
      `${ledger.length} tries, ${sums.count} not told: output ${(100 * off(sums.keptOutput, sums.output)).toFixed(2)} % off, input ${(100 * off(sums.keptInput, sums.input)).toFixed(2)} %`,
    );
    assert.ok(off(sums.keptOutput, sums.output) < 0.02, `output: ${sums.keptOutput} for ${sums.output}`);
    assert.ok(off(sums.keptInput, sums.input) < 0.02, `input: ${sums.keptInput} for ${sums.input}`);

    const text = await metricsOf(gateway);
    const total = (name: string, label: string): number =>
      [...text.matchAll(new RegExp(`^${name}\\{[^}]*${label}[^}]*\\} (\\S+)$`, "gm"))].reduce(
        (sum, found) => sum + Number(found[1]),
        0,
      );
    assert.equal(total("openclaw_llm_tokens_total", 'direction="input"'), report.totals.inputTokens);
    assert.equal(total("openclaw_llm_tokens_total", 'direction="output"'), report.totals.outputTokens);
    assert.equal(total("openclaw_llm_tokens_estimated_total", "provider"), report.totals.estimatedTokens);
    assert.equal(total("openclaw_llm_cost_total", "provider").toFixed(9), (report.totals.cost.USD ?? 0).toFixed(9));
  } finally {
    await gateway.close();
  }
});
