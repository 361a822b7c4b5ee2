// The process behind measured-gateway.ts: a gateway that says on demand what it holds. Needs --expose-gc.
import { readdirSync } from "node:fs";
import { startWithFallback } from "./two-upstreams.ts";

const options = JSON.parse(process.argv[2] ?? "{}");
const gateway = await startWithFallback(options.aUrl, { baseUrl: options.bUrl }, options.stack);

process.on("message", () => {
  gateway.lines.length = 0;
  // What is freed in one pass frees more in the next.
  for (let pass = 0; pass < 3; pass += 1) globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  process.send?.({ files: readdirSync("/proc/self/fd").length, heapBytes: heapUsed + external, rssBytes: rss });
});
process.on("disconnect", () => process.exit(0));
process.send?.({ url: gateway.url });
