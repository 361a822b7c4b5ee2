// Figures in Prometheus' text format, written piece by piece so that a large scrape does not stop the streams.
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
        requireScope(context.runtime().auth.authenticate(request.headers, request.ip), "operator.read");
      const parts: string[] = [];
      for (const part of context.metrics.registry.render()) {
        parts.push(part);
        await pause();
      }
      return reply.type("text/plain; version=0.0.4; charset=utf-8").send(parts.join(""));
    });
  }
}
