// GET /v1/models and /v1/models/{id}: https://platform.openai.com/docs/api-reference/models
import type { FastifyInstance } from "fastify";
import { GatewayError } from "../../errors.ts";
import { isVisible, visibleModels } from "../../governance/models.ts";
import type { ListedModel } from "../../models/router.ts";
import type { GatewayContext } from "../context.ts";

export function registerModels(server: FastifyInstance, context: GatewayContext): void {
  const created = Math.floor(context.startedAt.getTime() / 1000);
  const shape = (model: ListedModel) => ({
    id: model.id,
    object: "model",
    created,
    owned_by: model.provider,
    ...(model.name ? { name: model.name } : {}),
    ...(model.input ? { input: model.input } : {}),
    ...(model.contextWindow ? { context_window: model.contextWindow } : {}),
  });
  const options = { config: { scope: "operator.read" as const } };

  server.get("/v1/models", options, async (request) => {
    const { stack, router } = context.runtime();
    return { object: "list", data: visibleModels(stack, router, request.visit.caller?.id).map(shape) };
  });
  // Ids contain slashes.
  server.get<{ Params: { "*": string } }>("/v1/models/*", options, async (request) => {
    const name = request.params["*"];
    const { stack, router } = context.runtime();
    const model = router.find(name);
    if (model && isVisible(stack, router, request.visit.caller?.id, model)) return shape(model);
    throw new GatewayError("model_not_found", `The model ${JSON.stringify(name.slice(0, 200))} does not exist here.`, {
      param: "model",
    });
  });
}
