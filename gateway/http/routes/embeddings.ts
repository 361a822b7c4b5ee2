// POST /v1/embeddings, /v1/completions and /v1/rerank: passed to a provider that has them.
// https://platform.openai.com/docs/api-reference/embeddings, …/completions; https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
import type { FastifyInstance } from "fastify";
import type { GatewayContext } from "../context.ts";
import { registerModelCall } from "../model-call.ts";

export function registerEmbeddings(server: FastifyInstance, context: GatewayContext): void {
  for (const api of ["embeddings", "completions", "rerank"] as const)
    registerModelCall(server, context, { path: `/v1/${api}`, api });
}
