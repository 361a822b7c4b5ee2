// Figures in Prometheus' text format, written piece by piece so that a large scrape does not stop the streams.
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setImmediate as pause } from "node:timers/promises";
import type { FastifyInstance } from "fastify";
import { stackOf } from "../../config/rules.ts";
import { GatewayError } from "../../errors.ts";
import { requireScope } from "../auth.ts";
import type { GatewayContext } from "../context.ts";

export function registerMetrics(server: FastifyInstance, context: GatewayContext, surface: "all" | "operations"): void {
  for (const path of ["/metrics", "/api/diagnostics/prometheus"]) {
    server.get(path, async (request, reply) => {
      const { metrics } = stackOf(context.runtime().config);
      if (!metrics.enabled) throw new GatewayError("endpoint_disabled", "Metrics are turned off (metrics.enabled).");
      if (surface === "all" && !metrics.public)
        requireScope(context.entrance.identify(request.headers, request.ip, request.visit.address), "operator.read");
      const figures = await context.figures();
      reply.hijack();
      for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) reply.raw.setHeader(name, value);
      await writeMetrics(reply.raw, figures);
    });
  }
}

/** Others get their turn after each piece, and a slow reader holds the rest back. */
export async function writeMetrics(response: ServerResponse, registry: { render(): Iterable<string> }): Promise<void> {
  response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
  for (const piece of registry.render()) {
    if (!response.write(piece)) await Promise.race([once(response, "drain"), once(response, "close")]);
    await pause();
    if (response.destroyed) return;
  }
  response.end();
}
