// POST /v1/messages and /v1/messages/count_tokens: https://docs.anthropic.com/en/api/messages
import type { FastifyInstance } from "fastify";
import type { GatewayContext } from "../context.ts";
import { registerModelCall } from "../model-call.ts";

export function registerMessages(server: FastifyInstance, context: GatewayContext): void {
  registerModelCall(server, context, { path: "/v1/messages", api: "messages" });
  registerModelCall(server, context, { path: "/v1/messages/count_tokens", api: "count-tokens" });
}
