// How a provider kind takes calls of every client API: its own as bytes, the others through the neutral form.
import { GatewayError } from "../../errors.ts";
import type { CallHandle, CallSink, ClientApi, ModelCall, ModelEntry } from "../provider.ts";
import type { Send } from "../remote.ts";
import type { askForUsage } from "../stream-usage.ts";
import { countTokens } from "./count-tokens.ts";
import { clientForms, endOf } from "./forms.ts";
import type { ClientForm, UpstreamForm } from "./neutral.ts";
import { noCall, translatedCall } from "./translated.ts";

interface Speech {
  readonly provider: string;
  readonly models: readonly ModelEntry[];
  /** APIs that pass as bytes, with their paths. */
  readonly native: { readonly [api in ClientApi]?: string };
  /** The API that all others are translated to, and its path. */
  readonly upstream: UpstreamForm;
  readonly path: string;
  /** What is translated in a way of its own, by API. */
  readonly special?: { readonly [api in ClientApi]?: (call: ModelCall, sink: CallSink) => CallHandle };
  /** What changes of a call that passes as bytes; undefined: nothing. */
  readonly passing?: typeof askForUsage | undefined;
  readonly send: Send;
}

/** What servers in OpenAI's manner have beside their main API; one that lacks it answers so itself. */
export const sharedPaths = {
  embeddings: "/embeddings",
  completions: "/completions",
  rerank: "/rerank",
  speech: "/audio/speech",
  transcriptions: "/audio/transcriptions",
  translations: "/audio/translations",
} as const;

export function callAs(speech: Speech): (call: ModelCall, sink: CallSink) => CallHandle {
  const { provider, models, native, upstream, path, special = {}, passing, send } = speech;
  const forms: { readonly [api in ClientApi]?: ClientForm } = clientForms;
  return (call, sink) => {
    const model = models.find((entry) => entry.id === call.model);
    const own = native[call.api];
    if (own !== undefined) {
      const changed = passing?.(call, sink, model);
      return send(own, changed?.body ?? call.body, call, changed?.sink ?? sink, endOf(call.api), call.apiHeaders);
    }
    const other = special[call.api];
    if (other) return other(call, sink);
    if (call.api === "count-tokens") return countTokens(call, sink);
    const client = forms[call.api];
    if (!client) {
      const text = `The provider ${provider} of this model does not offer ${call.api}: ask a model of another provider.`;
      sink.fail(new GatewayError("invalid_request", text, { param: "model" }));
      return noCall;
    }
    return translatedCall({
      call,
      sink,
      client,
      upstream,
      target: { model: call.model, maxTokens: model?.maxTokens },
      send: (body, inner) => send(path, body, call, inner, upstream.ends),
    });
  };
}
