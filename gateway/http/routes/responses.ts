// POST /v1/responses: https://platform.openai.com/docs/api-reference/responses
import type { FastifyInstance } from "fastify";
import type { GatewayContext } from "../context.ts";
import { registerModelCall } from "../model-call.ts";

export function registerResponses(server: FastifyInstance, context: GatewayContext): void {
  registerModelCall(server, context, { path: "/v1/responses", api: "responses", setting: "responses" });
}
