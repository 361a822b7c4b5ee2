// One call in another API than the client's: the request is rewritten, and the answer's events as they come; nothing is kept but the event under way.
import { GatewayError } from "../../errors.ts";
import { parseBody } from "../body.ts";
import type { CallHandle, CallSink, ModelCall } from "../provider.ts";
import { jsonOf, parseJson } from "./json.ts";
import { createEventReader, createLineReader } from "./lines.ts";
import {
  type AnswerEvent,
  type AnswerMeta,
  type ClientForm,
  collect,
  inWordsOf,
  paramInWordsOf,
  type StreamWriter,
  type Target,
  toUsage,
  type UpstreamForm,
  untranslatable,
} from "./neutral.ts";
import { errorText } from "./stream-error.ts";

interface Translation {
  readonly call: ModelCall;
  readonly sink: CallSink;
  readonly client: ClientForm;
  readonly upstream: UpstreamForm;
  readonly target: Target;
  /** Sends the rewritten request. */
  send(body: Buffer, sink: CallSink): CallHandle;
}

/** An answer that does not stream is parsed as a whole. */
const maxAnswerBytes = 64 * 1024 * 1024;
export const noCall: CallHandle = { abort: () => {}, resume: () => {} };

export function translatedCall({ call, sink, client, upstream, target, send }: Translation): CallHandle {
  let meta: AnswerMeta;
  let body: Buffer;
  try {
    const asked = client.readAsked(jsonOf(parseBody(call.body)));
    if (asked.suffix !== undefined && !upstream.readsSuffix)
      throw untranslatable("suffix", "is not known to this model's provider");
    meta = { id: call.requestId, model: call.model, created: Math.floor(Date.now() / 1000), asked };
    body = Buffer.from(JSON.stringify(upstream.writeAsked(asked, target)));
  } catch (error) {
    sink.fail(asGatewayError(inWordsOf(client, error)));
    return noCall;
  }
  const holder: { handle?: CallHandle } = {};
  holder.handle = send(
    body,
    translatedSink(sink, meta, client, upstream, () => holder.handle?.abort()),
  );
  return holder.handle;
}

function translatedSink(
  sink: CallSink,
  meta: AnswerMeta,
  client: ClientForm,
  upstream: UpstreamForm,
  abort: () => void,
): CallSink {
  const { stream } = meta.asked;
  const writer: StreamWriter | undefined = stream ? client.writeStream(meta) : undefined;
  const read = upstream.readStream();
  const whole: Buffer[] = [];
  let wholeBytes = 0;
  let asWhole = !stream;
  let finished = false;
  let over = false;
  let out = "";

  function fail(error: GatewayError): void {
    if (over) return;
    over = true;
    abort();
    sink.fail(error);
  }
  const guarded = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      fail(asGatewayError(error));
    }
  };
  function take(events: readonly AnswerEvent[]): void {
    for (const event of events) {
      if (event.type === "finish") finished = true;
      else if (event.type === "usage") sink.usage?.(toUsage(event.usage));
      out += writer?.write(event) ?? "";
    }
  }
  const onData = (data: string): void => {
    if (data === "[DONE]" || data.trim() === "") return;
    const event = parseJson(data);
    if (!event) throw new GatewayError("upstream_malformed", "the provider sent a piece of a stream that is not JSON");
    take(read(event));
  };
  const reader = upstream.framing === "sse" ? createEventReader(onData) : createLineReader(onData);

  /** Bytes for the client; false where it reads slowly. */
  function flush(): boolean {
    if (out === "" || over) return true;
    const bytes = Buffer.from(out);
    out = "";
    return sink.data(bytes);
  }

  function finishWhole(): void {
    const answer = parseJson(Buffer.concat(whole).toString("utf8"));
    if (!answer) throw new GatewayError("upstream_malformed", "the provider sent an answer that is not JSON");
    const events = upstream.readAnswer(answer);
    if (writer) {
      take(events);
      return;
    }
    finished = true;
    for (const event of events) if (event.type === "usage") sink.usage?.(toUsage(event.usage));
    const bytes = Buffer.from(JSON.stringify(client.writeAnswer(collect(events), meta)));
    sink.head("application/json", bytes.length);
    sink.data(bytes);
  }

  return {
    head(type) {
      // A server that cannot stream answers as a whole; its answer becomes a stream of few events.
      if (upstream.framing === "sse" && type.includes("application/json")) asWhole = true;
      if (stream) sink.head("text/event-stream", undefined);
    },
    data(chunk) {
      if (over) return true;
      if (!asWhole) {
        guarded(() => reader.push(chunk));
        return flush();
      }
      wholeBytes += chunk.length;
      if (wholeBytes <= maxAnswerBytes) whole.push(chunk);
      else fail(new GatewayError("upstream_malformed", "the provider sent an endless answer"));
      return true;
    },
    end() {
      if (over) return;
      guarded(() => {
        if (asWhole) finishWhole();
        else reader.end();
        if (!finished) throw new GatewayError("upstream_cut", "the provider ended the stream in the middle");
        out += writer?.end() ?? "";
      });
      if (over) return;
      flush();
      over = true;
      sink.end();
    },
    fail(error) {
      if (over) return;
      over = true;
      sink.fail(withoutBody(error, client));
    },
  };
}

/**
 * An upstream's own error is in the shape of another API: its text is kept, and written in the client's shape; and the field
 * that it names where the client has a word for it.
 */
export function withoutBody(error: GatewayError, client?: ClientForm): GatewayError {
  if (!error.body) return error;
  const body = parseJson(error.body.toString("utf8"));
  const said = jsonOf(body?.error).param;
  const param = client && typeof said === "string" ? paramInWordsOf(client, said) : undefined;
  return new GatewayError(error.code, errorText(body) ?? error.message, {
    status: error.status,
    ...(param === undefined ? {} : { param }),
    ...(error.retryAfter ? { retryAfter: error.retryAfter } : {}),
    cause: error.cause,
  });
}

export function asGatewayError(error: unknown): GatewayError {
  return error instanceof GatewayError
    ? error
    : new GatewayError("upstream_malformed", "the provider sent an answer that cannot be read", { cause: error });
}
