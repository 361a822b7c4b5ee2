// The control page at gateway.controlUi.basePath.
import type { FastifyInstance } from "fastify";
import { authMode } from "../../config/rules.ts";
import { renderPage } from "../../ui/page.ts";
import type { GatewayContext } from "../context.ts";

export function registerPage(server: FastifyInstance, context: GatewayContext): void {
  const { controlUi } = context.runtime().config.gateway;
  if (!controlUi.enabled) return;
  server.get(controlUi.basePath, async (request, reply) => {
    const { config, health, demo } = context.runtime();
    const html = renderPage({
      version: context.version,
      phase: context.lifecycle.phase,
      uptimeSeconds: process.uptime(),
      address: `${request.protocol}://${request.host}`,
      needsToken: authMode(config) !== "none",
      demo,
      modelsUp: health.list().filter((provider) => provider.state === "up").length,
      modelsTotal: health.list().length,
    });
    return reply
      .header(
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      )
      .header("referrer-policy", "no-referrer")
      .header("cache-control", "no-store")
      .type("text/html; charset=utf-8")
      .send(html);
  });
}
