// POST /v1/chat/completions: https://platform.openai.com/docs/api-reference/chat
import type { FastifyInstance } from "fastify";
import type { GatewayContext } from "../context.ts";
import { registerModelCall } from "../model-call.ts";

export function registerChat(server: FastifyInstance, context: GatewayContext): void {
  registerModelCall(server, context, { path: "/v1/chat/completions", api: "chat-completions", setting: "chatCompletions" });
}
