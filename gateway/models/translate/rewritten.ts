// A call whose request and whole answer are rewritten as JSON, without streaming: for what is not a conversation.
import { GatewayError } from "../../errors.ts";
import { parseBody } from "../body.ts";
import type { CallHandle, CallSink, ModelCall } from "../provider.ts";
import { type Json, jsonOf, parseJson } from "./json.ts";
import { asGatewayError, noCall, withoutBody } from "./translated.ts";

export interface Rewriting {
  readonly request: Json;
  readAnswer(answer: Json): Json;
}

const maxAnswerBytes = 64 * 1024 * 1024;

/** `rewrite` throws GatewayErrors for what cannot be asked. */
export function rewrittenCall(
  call: ModelCall,
  sink: CallSink,
  send: (body: Buffer, sink: CallSink) => CallHandle,
  rewrite: (body: Json) => Rewriting,
): CallHandle {
  let rewriting: Rewriting;
  try {
    rewriting = rewrite(jsonOf(parseBody(call.body)));
  } catch (error) {
    sink.fail(asGatewayError(error));
    return noCall;
  }
  const chunks: Buffer[] = [];
  let size = 0;
  let over = false;
  const holder: { handle?: CallHandle } = {};
  function fail(error: GatewayError): void {
    if (over) return;
    over = true;
    holder.handle?.abort();
    sink.fail(error);
  }
  holder.handle = send(Buffer.from(JSON.stringify(rewriting.request)), {
    head() {},
    data(chunk) {
      size += chunk.length;
      if (size <= maxAnswerBytes) chunks.push(chunk);
      else fail(new GatewayError("upstream_malformed", "the provider sent an endless answer"));
      return true;
    },
    end() {
      if (over) return;
      const answer = parseJson(Buffer.concat(chunks).toString("utf8"));
      if (!answer) return fail(new GatewayError("upstream_malformed", "the provider sent an answer that is not JSON"));
      const bytes = Buffer.from(JSON.stringify(rewriting.readAnswer(answer)));
      over = true;
      sink.head("application/json", bytes.length);
      sink.data(bytes);
      sink.end();
    },
    fail: (error) => fail(withoutBody(error)),
  });
  return holder.handle;
}
