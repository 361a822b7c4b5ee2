// Servers that speak OpenAI's chat completions (OpenAI, vLLM, Ollama, LM Studio, llama.cpp …): bytes out, bytes back.
// Wire format: https://platform.openai.com/docs/api-reference/chat
import type { Dispatcher } from "undici";
import { z } from "zod";
import { GatewayError } from "../../errors.ts";
import { createExchange } from "../exchange.ts";
import { remoteOptions } from "../options.ts";
import type { Provider, ProviderDeps, ProviderKind } from "../provider.ts";

const options = z.strictObject({ api: z.literal("openai-completions"), ...remoteOptions });

export const openaiCompletions = {
  options,
  async create(id, settings, deps) {
    const base = new URL(settings.baseUrl);
    const folder = base.pathname.replace(/\/$/, "");
    const timeouts = { ...deps.timeouts, ...(settings.timeoutSeconds ? { totalMs: settings.timeoutSeconds * 1000 } : {}) };
    const connections = await deps.openConnections(timeouts.connectMs);
    const headers = (): Record<string, string> => headersOf(settings, deps);
    const provider: Provider = {
      id,
      kind: settings.api,
      models: settings.models,
      apis: ["chat-completions"],
      call(call, sink) {
        const exchange = createExchange(id, call.stream, timeouts, sink);
        try {
          const request: Dispatcher.DispatchOptions = {
            origin: base.origin,
            path: `${folder}/chat/completions`,
            method: "POST",
            body: call.body,
            headers: {
              ...headers(),
              "content-type": "application/json",
              accept: call.stream ? "text/event-stream" : "application/json",
              "x-request-id": call.requestId,
              ...(call.traceparent ? { traceparent: call.traceparent } : {}),
            },
            // The exchange keeps its own, finer time.
            headersTimeout: 0,
            bodyTimeout: 0,
          };
          connections.dispatch(request, exchange.handler);
        } catch (error) {
          exchange.refuse(error);
        }
        return exchange.handle;
      },
      listServed: (timeoutMs) => listServed(connections, id, base.origin, `${folder}/models`, headers(), timeoutMs),
      close: () => connections.close(),
    };
    return provider;
  },
} satisfies ProviderKind<typeof options>;

function headersOf(settings: z.output<typeof options>, deps: ProviderDeps): Record<string, string> {
  const extra = Object.fromEntries(
    Object.entries(settings.headers).map(([name, value]) => [name.toLowerCase(), deps.secret(value)]),
  );
  return {
    "user-agent": `openclaw-stack/${deps.version}`,
    ...(settings.apiKey === undefined ? {} : { authorization: `Bearer ${deps.secret(settings.apiKey)}` }),
    ...extra,
  };
}

const listSchema = z.object({ data: z.array(z.looseObject({ id: z.string() })) });
const maxListBytes = 4 * 1024 * 1024;

async function listServed(
  connections: Dispatcher,
  id: string,
  origin: string,
  path: string,
  headers: Record<string, string>,
  timeoutMs: number,
): Promise<readonly string[]> {
  const { status, body } = await get(connections, { origin, path, method: "GET", headers }, id, timeoutMs);
  if (status === 401 || status === 403)
    throw new GatewayError("upstream_auth", `provider ${id} refused the gateway's key (${status})`);
  // A server without this path answers all the same: it is up, and only its list is not known.
  if (status === 404 || status === 405) return [];
  if (status >= 400) throw new GatewayError("upstream_failed", `provider ${id} answered ${status} to a list of its models`);
  try {
    return listSchema.parse(JSON.parse(body.toString("utf8"))).data.map((model) => model.id);
  } catch (error) {
    throw new GatewayError("upstream_malformed", `provider ${id} sent a list of models that cannot be read`, { cause: error });
  }
}

function get(connections: Dispatcher, request: Dispatcher.DispatchOptions, id: string, timeoutMs: number) {
  return new Promise<{ status: number; body: Buffer }>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    let status = 0;
    let controller: Dispatcher.DispatchController | undefined;
    const fail = (error: GatewayError): void => {
      clearTimeout(timer);
      reject(error);
      controller?.abort(error);
    };
    const timer = setTimeout(
      () => fail(new GatewayError("upstream_timeout", `provider ${id} did not list its models within ${timeoutMs} ms`)),
      timeoutMs,
    );
    connections.dispatch(request, {
      onRequestStart(current) {
        controller = current;
      },
      onResponseStart(_, code) {
        status = code;
      },
      onResponseData(_, chunk) {
        size += chunk.length;
        if (size > maxListBytes) fail(new GatewayError("upstream_malformed", `provider ${id} sent an endless list of models`));
        else chunks.push(chunk);
      },
      onResponseEnd() {
        clearTimeout(timer);
        resolve({ status, body: Buffer.concat(chunks) });
      },
      onResponseError: (_, error) =>
        fail(new GatewayError("upstream_unreachable", `provider ${id} cannot be reached`, { cause: error })),
    });
  });
}
