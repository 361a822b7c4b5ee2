// The layer that tells the tracing of each upstream that was asked; composed only where tracing is on.
import type { Tracing } from "../observability/trace.ts";
import type { ClientApi } from "./provider.ts";
import type { Serve } from "./work.ts";

/** Of a provider's settings. */
type AddressOf = (providerId: string) => URL | undefined;

/** gen_ai.operation.name: those that the conventions name, and the API's own name for the others. */
const operations: Readonly<Partial<Record<ClientApi, string>>> = {
  "chat-completions": "chat",
  responses: "chat",
  messages: "chat",
  completions: "text_completion",
};

/** What an answer says of itself stands at its beginning. */
const headBytes = 2048;

export function createTraced(tracing: Tracing, addressOf: AddressOf, next: Serve): Serve {
  return (work, sink) => {
    if (!work.trace.sampled) return next(work, sink);
    let beginning = "";
    const before = work.recorder;
    work.recorder = {
      onRecord(route, record) {
        before.onRecord(route, record);
        if (record.traceparent === undefined) return;
        const isAnswer = record.outcome === "ok";
        tracing.call({
          trace: work.trace,
          traceparent: record.traceparent,
          requestId: work.requestId,
          operation: operations[work.api] ?? work.api,
          provider: route.provider.id,
          kind: route.provider.kind,
          model: route.model,
          responseModel: isAnswer ? textField(beginning, "model") : undefined,
          responseId: isAnswer ? textField(beginning, "id") : undefined,
          stream: work.stream,
          address: addressOf(route.provider.id),
          durationMs: record.durationMs,
          firstByteMs: record.firstByteMs,
          inputTokens: record.usage?.input,
          outputTokens: record.usage?.output,
          outcome: record.outcome,
        });
      },
    };
    return next(work, {
      head: (type, length) => sink.head(type, length),
      data(chunk) {
        if (beginning === "") beginning = chunk.toString("latin1", 0, headBytes);
        return sink.data(chunk);
      },
      restart() {
        beginning = "";
        return sink.restart();
      },
      end: () => sink.end(),
      fail: (error) => sink.fail(error),
    });
  };
}

function textField(json: string, name: string): string | undefined {
  return new RegExp(`"${name}": ?"([^"\\\\]{1,128})"`).exec(json)?.[1];
}
