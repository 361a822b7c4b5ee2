// A record of usage as a line of text: for files that another process reads.
import * as z from "zod";
import type { UsageRecord } from "../store.ts";

const lineSchema = z.tuple([
  z.string().min(1),
  z.number(),
  z.string(),
  z.string(),
  z.string(),
  z.string(),
  z.number(),
  z.number(),
  z.number(),
  z.number(),
  z.number().nullable(),
  z.string(),
  z.number(),
  z.string(),
  z.boolean(),
  z.string(),
]);

export const toLine = (r: UsageRecord): string =>
  JSON.stringify([
    r.id,
    r.time,
    r.token,
    r.provider,
    r.model,
    r.api,
    r.input,
    r.output,
    r.cached,
    r.stored,
    r.cost ?? null,
    r.currency,
    r.durationMs,
    r.outcome,
    r.estimated,
    r.requestId,
  ]);

/** Undefined for what is not a whole record: the last line of a process that was killed while it wrote. */
export function fromLine(line: string): UsageRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const parsed = lineSchema.safeParse(value);
  if (!parsed.success) return undefined;
  const [
    id,
    time,
    token,
    provider,
    model,
    api,
    input,
    output,
    cached,
    stored,
    cost,
    currency,
    durationMs,
    outcome,
    estimated,
    requestId,
  ] = parsed.data;
  return {
    id,
    time,
    token,
    provider,
    model,
    api,
    input,
    output,
    cached,
    stored,
    cost: cost ?? undefined,
    currency,
    durationMs,
    outcome,
    estimated,
    requestId,
  };
}
