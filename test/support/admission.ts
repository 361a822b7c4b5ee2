// Admission with a clock that the test moves, before upstreams whose calls take a time that the test sets.
import type { ConfigInput } from "../../gateway/config/schema.ts";
import { stackSchema } from "../../gateway/config/stack.ts";
import type { GatewayError } from "../../gateway/errors.ts";
import { createAdmission } from "../../gateway/models/admission/admission.ts";
import type { CallRecord } from "../../gateway/models/call.ts";
import type { Place } from "../../gateway/models/gate.ts";
import type { ModelCall, Provider } from "../../gateway/models/provider.ts";
import type { Route } from "../../gateway/models/router.ts";
import type { ModelWork } from "../../gateway/models/work.ts";
import { createMetrics } from "../../gateway/observability/metrics.ts";
import type { Meter } from "../../gateway/store/allowances.ts";
import { manualClock } from "./manual-clock.ts";

type Stack = NonNullable<NonNullable<NonNullable<ConfigInput["plugins"]>["entries"]>["openclaw-stack"]>["config"];

export interface Request {
  readonly caller: string;
  /** When it was sent to an upstream; undefined: not yet, or never. */
  sentAt: number | undefined;
  readonly askedAt: number;
  route: Route | undefined;
  /** With which key. */
  key: ModelCall["key"];
  error: GatewayError | undefined;
  place: Place | undefined;
  /** The client leaves. */
  leave(): void;
}

interface Options {
  readonly caller?: string;
  readonly priority?: string;
  readonly routes?: readonly Route[];
  /** How long the call takes; without it, until the test ends it. */
  readonly takesMs?: number;
  readonly body?: string;
  /** Headers of the answer, which begin with the answer's head at its end. */
  readonly answer?: { readonly status: number; readonly headers: Readonly<Record<string, string>> };
}

export const routeOf = (id: string, model = "m"): Route => ({ provider: providerOf(id), model });

function providerOf(id: string): Provider {
  return {
    id,
    kind: "test",
    models: [],
    apis: ["chat-completions"],
    call: () => ({ abort() {}, resume() {} }),
    listServed: async () => [],
    close: async () => {},
  };
}

export function startAdmission(stack: Stack, meter?: Meter) {
  const clock = manualClock();
  const metrics = createMetrics("test");
  const settings = stackSchema.parse(stack ?? {});
  const pages = new Map<string, () => string>();
  const admission = createAdmission(settings, {
    metrics,
    clock,
    meter,
    readPage: async (id) => {
      const page = pages.get(id);
      if (!page) throw new Error("no page");
      return Buffer.from(page());
    },
  });

  function record(outcome: CallRecord["outcome"], usage?: { input: number; output: number }): CallRecord {
    return { outcome, durationMs: 1, firstByteMs: undefined, usage };
  }

  function send(options: Options = {}): Request {
    const { caller = "someone", priority, routes = [routeOf("a")], takesMs, body = "{}", answer } = options;
    const work = workOf(caller, priority, body);
    let leaveQueue: () => void = () => {};
    const request: Request = {
      caller,
      askedAt: clock.now(),
      sentAt: undefined,
      route: undefined,
      key: undefined,
      error: undefined,
      place: undefined,
      leave: () => leaveQueue(),
    };
    const begin = (route: Route, place: Place): void => {
      const call = place.adapt?.({ ...plainCall, body: work.body });
      Object.assign(request, { sentAt: clock.now(), route, place, key: call?.key });
      if (takesMs === undefined) return;
      clock.after(takesMs, () => {
        if (answer) call?.onHeaders?.(answer.status, (name) => answer.headers[name]);
        place.leave(record(answer?.status === 429 ? "upstream_rate_limited" : "ok"));
      });
    };
    const look = (): void => {
      const full: Route[] = [];
      for (const route of routes) {
        const place = admission.gate.enter(route, work);
        if (place) {
          begin(route, place);
          return;
        }
        full.push(route);
        if (admission.gate.isAsking(route)) break;
      }
      try {
        leaveQueue = admission.gate.wait(full, work, {
          taken: begin,
          again: look,
          refused(error) {
            request.error = error;
          },
        });
      } catch (error) {
        // Nothing but a refusal is thrown.
        Object.assign(request, { error });
      }
    };
    look();
    return request;
  }

  return { clock, metrics, admission, pages, send, record, settings };
}

const plainCall: ModelCall = {
  api: "chat-completions",
  model: "m",
  body: Buffer.from("{}"),
  stream: false,
  requestId: "test",
  traceparent: undefined,
};

/** Admission reads these few of a request. */
function workOf(callerId: string, priority: string | undefined, body: string): ModelWork {
  const work: Pick<ModelWork, "callerId" | "headers" | "body"> = {
    callerId,
    headers: priority === undefined ? {} : { "x-openclaw-priority": priority },
    body: Buffer.from(body),
  };
  return Object.assign(Object.create(null), work);
}
