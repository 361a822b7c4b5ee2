// What workers share through the primary: limits and budgets, the record of usage, upstreams that are left alone.
import * as z from "zod";
import type { Loaded } from "../config/load.ts";
import type { ReadinessPart } from "../http/context.ts";
import type { Log } from "../observability/log.ts";
import { lockoutSchema, openingSchema, type Shared, type UsageStore } from "../shared.ts";
import type { Allowances } from "../store/allowances.ts";
import { createLocalAllowances } from "../store/local-allowances.ts";
import { openCluster } from "../store/redis/cluster.ts";
import type { UsageRecord } from "../store/store.ts";
import { createUsageBooks, type UsageBooks } from "../store/usage/books.ts";
import { answersOverLink } from "./worker-answers.ts";
import { defineCall, defineNote, type Hub, type Link, LinkError } from "./worker-link.ts";

const ruleSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("window"), limit: z.number(), windowMs: z.number() }),
  z.object({ kind: z.literal("period"), limit: z.number(), endsMs: z.number() }),
  z.object({ kind: z.literal("concurrent"), limit: z.number() }),
]);

/** JSON has no Infinity: it arrives as null. */
const endlessSchema = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.POSITIVE_INFINITY);

const leaseCall = defineCall(
  "allowances.lease",
  z.object({
    holder: z.string(),
    key: z.string(),
    rule: ruleSchema,
    need: z.number(),
    want: z.number(),
    spare: z.number(),
    held: z.number(),
  }),
  z.object({
    granted: z.number(),
    forMs: endlessSchema,
    stamp: z.number(),
    remaining: endlessSchema,
    resetMs: endlessSchema,
    retryAfterMs: endlessSchema,
  }),
);
const settleNote = defineNote(
  "allowances.settle",
  z.object({ key: z.string(), rule: ruleSchema, delta: z.number(), stamp: z.number() }),
);
const dropNote = defineNote("allowances.drop", z.object({ holder: z.string() }));

const recordSchema = z.object({
  time: z.number(),
  token: z.string(),
  provider: z.string(),
  model: z.string(),
  api: z.string(),
  input: z.number(),
  output: z.number(),
  cached: z.number(),
  stored: z.number(),
  cost: z.number().optional(),
  currency: z.string(),
  durationMs: z.number(),
  outcome: z.string(),
  estimated: z.boolean(),
  requestId: z.string(),
});
const recordsCall = defineCall("usage.records", z.object({ records: z.array(recordSchema) }), z.object({}));
const flushCall = defineCall("usage.flush", z.object({}), z.object({}));
const sendCall = defineCall("usage.send", z.object({}), z.object({}));
const openingNote = defineNote("breaker.opening", openingSchema);
const lockoutNote = defineNote("auth.lockout", lockoutSchema);

/** How long workers may spend what they lease. */
export const leaseMs = 1000;
const batchMs = 100;
const maxBatch = 500;
const answerMs = 10_000;

/** The primary's side. */
export function serveShared(hub: Hub, shared: Shared & { usage: UsageBooks }): void {
  serveAllowances(hub, shared.allowances);
  hub.answer(recordsCall, ({ records }) => {
    for (const { cost, ...record } of records) shared.usage.record({ ...record, cost });
    return {};
  });
  hub.answer(flushCall, async () => {
    await Promise.allSettled([...hub.links().values()].map((link) => link.call(sendCall, {})));
    await shared.usage.flush();
    return {};
  });
  hub.on(openingNote, (opening, worker) => {
    hub.tell(openingNote, opening, worker);
    shared.tellOpening(opening);
  });
  shared.onOpening((opening) => hub.tell(openingNote, opening));
  hub.on(lockoutNote, (lockout, worker) => {
    hub.tell(lockoutNote, lockout, worker);
    shared.tellLockout(lockout);
  });
  shared.onLockout((lockout) => hub.tell(lockoutNote, lockout));
}

export function serveAllowances(hub: Hub, allowances: Allowances): void {
  const holders = new Map<number, Set<string>>();
  hub.answer(leaseCall, (request, worker) => {
    const own = holders.get(worker) ?? new Set();
    holders.set(worker, own.add(request.holder));
    return allowances.lease(request);
  });
  hub.on(settleNote, ({ key, rule, delta, stamp }) => allowances.settle(key, rule, delta, stamp));
  hub.on(dropNote, ({ holder }) => allowances.drop(holder));
  hub.onGone((worker) => {
    for (const holder of holders.get(worker) ?? []) allowances.drop(holder);
    holders.delete(worker);
  });
}

/** A worker's side. */
export function sharedOverLink(link: Link, loaded: Loaded, log: Log): Shared {
  const { usage, finish, rescue } = recordOverLink(link, loaded, log);
  const readiness: ReadinessPart = {};
  // Kept answers are in Redis itself: each worker has a connection of its own. That it is away the primary says for all.
  const cluster = openCluster(loaded.stack.cluster, { ...loaded, reveal: loaded.secrets.reveal, onLost: () => {} });
  return {
    usage,
    allowances: allowancesOverLink(link),
    alone: false,
    redis: cluster?.link,
    answers: answersOverLink(link),
    tellOpening: (opening) => link.tell(openingNote, opening),
    onOpening: (handler) => link.on(openingNote, handler),
    tellLockout: (lockout) => link.tell(lockoutNote, lockout),
    onLockout: (handler) => link.on(lockoutNote, handler),
    readiness,
    begin() {},
    release: () => Promise.resolve(),
    async finish() {
      await finish();
      await cluster?.link.close();
    },
    rescue,
  };
}

/** With the primary gone this process counts alone: it only answers what it has still to answer. */
export function allowancesOverLink(link: Link): Allowances {
  let alone: Allowances | undefined;
  const own = (): Allowances => {
    alone ??= createLocalAllowances({ leaseMs });
    return alone;
  };
  return {
    lease(request) {
      if (link.closed) return own().lease(request);
      return link.call(leaseCall, request).catch((error: unknown) => {
        if (error instanceof LinkError && error.reason === "closed") return own().lease(request);
        throw error;
      });
    },
    settle(key, rule, delta, stamp) {
      if (link.closed) own().settle(key, rule, delta, stamp);
      else link.tell(settleNote, { key, rule, delta, stamp });
    },
    drop(holder) {
      if (link.closed) own().drop(holder);
      else link.tell(dropNote, { holder });
    },
  };
}

/** Records go to the primary together; what it cannot take any more is left for the next writer of the state folder. */
function recordOverLink(link: Link, { stateDir, stack }: Loaded, log: Log) {
  const books = createUsageBooks({
    stateDir,
    limits: () => stack.usage,
    onResult: () => {},
    onProblem: (event, message) => log.of("state").error(event, message),
  });
  let waiting: Omit<UsageRecord, "id">[] = [];
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> = Promise.resolve();
  let spooling = false;

  function arm(): void {
    timer ??= setTimeout(() => void flush(), batchMs);
    timer.unref();
  }
  function spool(records: readonly Omit<UsageRecord, "id">[]): void {
    // Never its writer: the books put everything into the spool.
    if (!spooling) void books.disown();
    spooling = true;
    for (const record of records) books.record(record);
  }
  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const records = waiting;
    waiting = [];
    sending = sending.then(async () => {
      for (let at = 0; at < records.length; at += maxBatch) {
        const batch = records.slice(at, at + maxBatch);
        try {
          await link.call(
            recordsCall,
            { records: batch.map(({ cost, ...record }) => ({ ...record, ...(cost === undefined ? {} : { cost }) })) },
            answerMs,
          );
        } catch {
          spool(batch);
        }
      }
    });
    return sending;
  }

  link.answer(sendCall, async () => {
    await flush();
    return {};
  });
  const usage: UsageStore = {
    record(record) {
      waiting.push(record);
      arm();
    },
    async report(query) {
      if (!link.closed) await link.call(flushCall, {}, answerMs);
      return books.report(query);
    },
  };
  return {
    usage,
    async finish() {
      await flush();
      await books.close();
    },
    rescue() {
      if (waiting.length > 0) spool(waiting.splice(0));
      books.rescue();
    },
  };
}
