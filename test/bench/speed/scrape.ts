// How long a scrape of many label sets stops the event loop.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { writeMetrics } from "../../../gateway/http/routes/metrics.ts";
import { createMetrics, type Metrics } from "../../../gateway/observability/metrics.ts";
import { median } from "./figures.ts";

/** 2,000 label sets in each of five metrics, three of them histograms. */
export function fill(metrics: Metrics): void {
  for (let index = 0; index < 2000; index += 1) {
    const at = [`provider-${index % 20}`, `some/model-name-${index}`] as const;
    metrics.llmRequests.add(index, ...at, "ok");
    metrics.llmTokens.add(index, ...at, "input");
    metrics.llmLatency.observe(index / 100, ...at);
    metrics.firstToken.observe(index / 1000, ...at);
    metrics.interToken.observe(index / 10_000, ...at);
  }
}

/** Median of the longest stalls of some scrapes, in milliseconds. */
export async function scrapeStall(scrapes: number): Promise<{ stallMs: number; bytes: number }> {
  const metrics = createMetrics("0.0.0-bench");
  fill(metrics);
  const server = createServer((_, response) => writeMetrics(response, metrics.registry));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = addressOf(server.address());
  const stalls: number[] = [];
  let bytes = 0;
  // The first one compiles.
  for (let scrape = 0; scrape <= scrapes; scrape += 1) {
    let longest = 0;
    let last = performance.now();
    let over = false;
    const tick = (): void => {
      const at = performance.now();
      longest = Math.max(longest, at - last);
      last = at;
      if (!over) setImmediate(tick);
    };
    tick();
    const answer = await fetch(`http://127.0.0.1:${port}/`);
    bytes = (await answer.arrayBuffer()).byteLength;
    over = true;
    if (scrape > 0) stalls.push(longest);
  }
  server.closeAllConnections();
  server.close();
  return { stallMs: median(stalls), bytes };
}

function addressOf(address: string | AddressInfo | null): AddressInfo {
  if (typeof address !== "object" || !address) throw new Error("the server does not listen");
  return address;
}
