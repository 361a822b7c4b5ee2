// W3C trace context: who asked for this, as a caller says in its headers, and what upstreams are told in turn.
// https://www.w3.org/TR/trace-context/
import { randomFillSync } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

export interface TraceContext {
  readonly traceId: string;
  /** The caller's span; undefined where the trace begins here. */
  readonly parentId: string | undefined;
  /** Of the request itself. */
  readonly spanId: string;
  readonly sampled: boolean;
  /** What other tracing systems want passed on. */
  readonly state: string | undefined;
}

const maxStateLength = 512;
const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-|$)/;
const zeros = /^0+$/;

/** `sampleRatio`: the part of the traces that begin here which is recorded. What cannot be read is as if it were not there. */
export function readTrace(headers: IncomingHttpHeaders, sampleRatio: number): TraceContext {
  const given = headers.traceparent;
  const spanId = randomHex(8);
  if (typeof given === "string") {
    const [, version, traceId = "", parentId = "", flags = "", rest] = form.exec(given) ?? [];
    // A later version may add fields; the first one has none.
    const known = version !== undefined && version !== "ff" && (version !== "00" || rest === "");
    if (known && !zeros.test(traceId) && !zeros.test(parentId)) {
      return { traceId, parentId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1, state: stateOf(headers) };
    }
  }
  const traceId = randomHex(16);
  const sampled = sampleRatio > 0 && Number.parseInt(traceId.slice(-8), 16) < sampleRatio * 2 ** 32;
  return { traceId, parentId: undefined, spanId, sampled, state: undefined };
}

function stateOf({ tracestate }: IncomingHttpHeaders): string | undefined {
  const text = Array.isArray(tracestate) ? tracestate.join(",") : tracestate;
  return text !== undefined && text !== "" && text.length <= maxStateLength ? text : undefined;
}

/** The header for one call of an upstream, with a span of its own. */
export function childTraceparent({ traceId, sampled }: TraceContext): string {
  return `00-${traceId}-${randomHex(8)}-0${sampled ? 1 : 0}`;
}

export const spanIdOf = (traceparent: string): string => traceparent.slice(36, 52);

/** Many ids are taken from one call of the random source. */
const pool = Buffer.alloc(2048);
let hex = "";
let taken = 0;

/** In small letters, never all zeros. */
export function randomHex(bytes: number): string {
  if (taken + 2 * bytes > hex.length) {
    randomFillSync(pool);
    hex = pool.toString("hex");
    taken = 0;
  }
  const text = hex.slice(taken, taken + 2 * bytes);
  taken += 2 * bytes;
  // All zeros is no id.
  return text.charCodeAt(0) === 0x30 && zeros.test(text) ? randomHex(bytes) : text;
}
