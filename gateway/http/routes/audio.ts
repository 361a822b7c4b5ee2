// POST /v1/audio/speech, transcriptions and translations: passed to a provider that has them. https://platform.openai.com/docs/api-reference/audio
import type { FastifyInstance } from "fastify";
import { readFormRequest } from "../../models/form.ts";
import type { GatewayContext } from "../context.ts";
import { registerModelCall } from "../model-call.ts";

export function registerAudio(server: FastifyInstance, context: GatewayContext): void {
  registerModelCall(server, context, { path: "/v1/audio/speech", api: "speech" });
  for (const api of ["transcriptions", "translations"] as const)
    registerModelCall(server, context, { path: `/v1/audio/${api}`, api, read: readFormRequest });
}
