// Gives a kept answer to a request as if an upstream had just said it, and looks for it where that takes time.
import { type ErrorCode, errorTable, GatewayError, toGatewayError } from "../../errors.ts";
import type { RestartableSink } from "../failover.ts";
import type { CallHandle } from "../provider.ts";
import type { ModelWork, Serve } from "../work.ts";
import { type Answer, routeOf } from "./answers.ts";

/** The sink is told after this returns, as a call's is. `headers` are added to the answer. */
export function replay(
  answer: Answer,
  work: ModelWork,
  sink: RestartableSink,
  headers: Readonly<Record<string, string>>,
): CallHandle {
  let gone = false;
  const begun = performance.now();
  queueMicrotask(() => {
    if (gone) return;
    const { failure, contentType, body } = answer;
    const route = routeOf(answer, work);
    for (const name in headers) work.answerHeaders.set(name, headers[name] ?? "");
    if (failure) {
      const { status, message, param } = failure;
      const code = codeOf(failure.code);
      const error = new GatewayError(code, message, {
        status,
        ...(param === null ? {} : { param }),
        ...(body.length > 0 ? { body } : {}),
      });
      work.onRoute(route, 0, error);
      work.recorder.onRecord(route, { outcome: code, durationMs: 0, firstByteMs: undefined, usage: undefined, cached: true });
      sink.fail(error);
      return;
    }
    work.onRoute(route, 0);
    sink.head(contentType, work.stream ? undefined : body.length);
    const firstByteMs = performance.now() - begun;
    // As one piece: it lies in memory anyway, whatever the pace of the reader.
    sink.data(body);
    const durationMs = performance.now() - begun;
    const { usage, estimated = false } = answer;
    work.recorder.onRecord(route, { outcome: "ok", durationMs, firstByteMs, usage, estimated, cost: 0, cached: true });
    if (!gone) sink.end();
  });
  return {
    abort() {
      gone = true;
    },
    resume() {},
  };
}

const isCode = (text: string): text is ErrorCode => text in errorTable;
const codeOf = (text: string): ErrorCode => (isCode(text) ? text : "upstream_rejected");

/** Asks a store that is elsewhere, then goes on with what it has, or with `next`. A GatewayError is the request's own. */
export function afterLookup(
  lookup: Promise<Answer | undefined>,
  found: (answer: Answer, work: ModelWork, sink: RestartableSink) => CallHandle,
  next: Serve,
): Serve {
  return (work, sink) => {
    let gone = false;
    let call: CallHandle | undefined;
    const fail = (error: unknown): void => sink.fail(toGatewayError(error));
    const goOn = (answer: Answer | undefined): void => {
      if (gone) return;
      try {
        call = answer ? found(answer, work, sink) : next(work, sink);
      } catch (error) {
        fail(error);
      }
    };
    lookup.then(goOn, (error: unknown) => {
      if (!(error instanceof GatewayError)) goOn(undefined);
      else if (!gone) fail(error);
    });
    return {
      resume: () => call?.resume(),
      abort() {
        gone = true;
        call?.abort();
      },
    };
  };
}
