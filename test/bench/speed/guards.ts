// What has to be on while the gateway is measured, judged by what it does: a figure without its guards is worth nothing.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { accessLog, type Contender, models, token } from "./contenders.ts";

export interface Guard {
  readonly name: string;
  readonly on: boolean;
  readonly seen: string;
}

const operator = { authorization: "Bearer bench-operator-0123456789" };

/** After the load. */
export async function guardsOf(ours: Contender, folder: string, seesUsage: () => Promise<string>): Promise<Guard[]> {
  const base = `http://127.0.0.1:${ours.port}`;
  const body = JSON.stringify({ model: models.chat, messages: [{ role: "user", content: "hi" }] });
  const ask = (headers: Record<string, string>): Promise<Response> =>
    fetch(`${base}/v1/chat/completions`, { method: "POST", body, headers: { "content-type": "application/json", ...headers } });
  const refused = await ask({ authorization: "Bearer wrong" });
  await refused.arrayBuffer();
  const answer = await ask({ authorization: `Bearer ${token}` });
  await answer.arrayBuffer();
  const limits = [...answer.headers.keys()].filter((name) => name.startsWith("x-ratelimit-"));
  const scrape = await fetch(`${base}/metrics`, { headers: operator });
  const text = await scrape.text();
  const counted = Number(/^openclaw_llm_requests_total\{provider="chat".*outcome="ok"\} (\d+)/m.exec(text)?.[1] ?? 0);
  const lines = await requestsIn(accessLog(folder));
  const ready = await fetch(`${base}/readyz/models`, { headers: operator });
  const details = await ready.text();
  const usage = await seesUsage();
  return [
    { name: "authentication", on: refused.status === 401, seen: `a wrong token gets ${refused.status}` },
    { name: "limits", on: limits.length > 0, seen: limits.join(", ") || "no x-ratelimit headers in an answer" },
    { name: "persisted usage", on: usage !== "", seen: usage || "nothing in /api/usage" },
    { name: "breaker", on: details.includes("breaker") || text.includes("breaker"), seen: "in readiness and metrics" },
    { name: "metrics", on: counted > 0, seen: `${counted} calls counted` },
    { name: "access log", on: lines > 0 && lines >= counted, seen: `${lines} lines` },
  ];
}

/** Line by line: a fast run's log is longer than a string may be. */
async function requestsIn(log: string): Promise<number> {
  let lines = 0;
  for await (const line of createInterface({ input: createReadStream(log) }))
    if (line.includes('"event":"request"')) lines += 1;
  return lines;
}

/** What the books on disk say of the calls; empty where they say nothing. They are written in batches. */
export async function usageSeen(ours: Contender): Promise<string> {
  for (let tries = 0; tries < 50; tries += 1) {
    const answer = await fetch(`http://127.0.0.1:${ours.port}/api/usage?groupBy=token`, { headers: operator });
    const text = await answer.text();
    if (answer.status === 200 && text.includes('"bench"')) return `/api/usage: ${text.slice(0, 200)}`;
    await sleep(100);
  }
  return "";
}
