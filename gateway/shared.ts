// What a gateway has once, however many processes serve: the writer of the state folder, the record of usage, the authority of limits.
import * as z from "zod";
import type { SecretInput } from "./config/fields.ts";
import type { StackConfig } from "./config/schema.ts";
import { messageOf } from "./errors.ts";
import type { ReadinessPart } from "./http/context.ts";
import type { AnswerStore } from "./models/cache/answers.ts";
import type { Log } from "./observability/log.ts";
import type { Metrics } from "./observability/metrics.ts";
import { type Allowances, parseBudgetKey } from "./store/allowances.ts";
import { createLocalAllowances } from "./store/local-allowances.ts";
import { createRedisAllowances } from "./store/redis/allowances.ts";
import { type Cluster, openCluster } from "./store/redis/cluster.ts";
import { createStateOwner } from "./store/state-lock.ts";
import type { RedisLink, UsageReader, UsageRecord } from "./store/store.ts";
import { createUsageBooks, type UsageBooks } from "./store/usage/books.ts";

export interface UsageStore extends Pick<UsageReader, "report"> {
  record(record: Omit<UsageRecord, "id">): void;
}

/** An upstream that is left alone, by whoever noticed. */
export const openingSchema = z.object({ upstream: z.string(), reason: z.string(), forMs: z.number() });
export type Opening = z.output<typeof openingSchema>;

/** A group of addresses that sent too many wrong tokens, by whoever counted them. */
export const lockoutSchema = z.object({ group: z.string(), forMs: z.number() });
export type Lockout = z.output<typeof lockoutSchema>;

export interface Shared {
  readonly usage: UsageStore;
  readonly allowances: Allowances;
  /** False: others ask the same authority, and units are leased ahead. */
  readonly alone: boolean;
  /** Of this process; undefined where no Redis is configured. */
  readonly redis: RedisLink | undefined;
  /** Tells the others, and hears of them, which upstreams are left alone. */
  tellOpening(opening: Opening): void;
  onOpening(handler: (opening: Opening) => void): void;
  /** The same of addresses that are locked out. */
  tellLockout(lockout: Lockout): void;
  onLockout(handler: (lockout: Lockout) => void): void;
  /** Answers to idempotency keys, where another process of this gateway keeps them; undefined: this one does. */
  readonly answers: AnswerStore | undefined;
  readonly readiness: ReadinessPart;
  /** Becomes the writer of the state folder, as soon as nobody else is. */
  begin(): void;
  /** Another process may be the writer from now on. */
  release(): Promise<void>;
  /** What was recorded up to now is on disk when it resolves. */
  finish(): Promise<void>;
  /** The process ends at once: saves what can be saved without waiting. */
  rescue(): void;
}

export type SharedMetrics = Pick<Metrics, "usageRecords" | "stateOwner" | "redisUp" | "redisLost">;

interface Options {
  readonly stateDir: string;
  readonly stack: () => StackConfig;
  readonly reveal: (input: SecretInput) => string;
  readonly metrics: SharedMetrics;
  readonly log: Log;
  readonly version: string;
  /** How long others may spend what they lease; 0: this process alone asks. */
  readonly leaseMs: number;
}

/** For the process that serves alone, and for the primary of several. */
export function createShared(options: Options): Shared & { usage: UsageBooks } {
  const { stateDir, stack, metrics, log, version, leaseMs } = options;
  const say = log.of("state");
  const usage = createUsageBooks({
    stateDir,
    limits: () => stack().usage,
    onResult: (result, count) => metrics.usageRecords.add(count, result),
    onProblem: (event, message) => say.error(event, message),
  });
  const owner = createStateOwner({
    stateDir,
    version,
    onChange(owns) {
      metrics.stateOwner.set(owns ? 1 : 0);
      say.info(
        owns ? "state_acquired" : "state_released",
        `This process is ${owns ? "" : "no longer "}the writer of ${stateDir}`,
      );
    },
    onWaiting: (holder) =>
      say.info(
        "state_waiting",
        `The state folder ${stateDir} is written by ${holder}; this process serves, and takes over when that one ends`,
      ),
  });
  owner.use({ begin: () => usage.own(), end: () => usage.disown() });

  /** Budgets outlive the process: what was spent in their present window is in the record of usage. */
  function spentBefore(key: string): number {
    const budget = parseBudgetKey(key);
    const token = stack().tokens.find(({ id }) => id === budget?.tokenId);
    if (!budget || !token?.budget) return 0;
    try {
      return Math.round(usage.spent(token.id, budget.periodStartMs, stack().usage.currency) * 1e6);
    } catch (error) {
      log.of("usage").error("budget_unknown", `what ${token.id} has spent cannot be read: ${messageOf(error)}`);
      return 0;
    }
  }

  const cluster = joinCluster(options);
  const announce = (channel: string, news: object): void =>
    cluster?.link.publish(channel, JSON.stringify({ ...news, from: cluster.holder }));
  function hear<News>(channel: string, schema: z.ZodType<News>, handler: (news: News) => void): void {
    cluster?.link.subscribe(channel, (message) => {
      const value = parseJson(message);
      const { from } = fromSchema.safeParse(value).data ?? {};
      const news = schema.safeParse(value);
      if (from !== undefined && from !== cluster.holder && news.success) handler(news.data);
    });
  }
  const local = createLocalAllowances({ usedBefore: spentBefore, leaseMs });
  return {
    usage,
    allowances: cluster
      ? createRedisAllowances({ link: cluster.link, local, node: cluster.node, usedBefore: spentBefore })
      : local,
    alone: cluster === undefined && leaseMs === 0,
    redis: cluster?.link,
    answers: undefined,
    tellOpening: (opening) => announce("breaker", opening),
    onOpening: (handler) => hear("breaker", openingSchema, handler),
    tellLockout: (lockout) => announce("lockout", lockout),
    onLockout: (handler) => hear("lockout", lockoutSchema, handler),
    readiness: {
      degraded: () => [
        ...(owner.problem() === undefined && usage.problem() === undefined ? [] : ["usage"]),
        ...(cluster && !cluster.link.available ? ["redis"] : []),
      ],
      detail: () => ({
        ...(cluster ? { cluster: { node: cluster.node, redis: cluster.link.available ? "up" : "away" } } : {}),
        state: { owner: owner.owns, holder: owner.holder() ?? null, problem: owner.problem() ?? usage.problem() ?? null },
      }),
    },
    begin: () => owner.acquire(),
    release: () => owner.release(),
    async finish() {
      await owner.release();
      await usage.close();
      await cluster?.link.close();
    },
    rescue: () => usage.rescue(),
  };
}

const fromSchema = z.object({ from: z.string() });

function joinCluster({ stack, stateDir, reveal, metrics, log }: Options): Cluster | undefined {
  const say = log.of("cluster");
  const cluster = openCluster(stack().cluster, {
    stateDir,
    reveal,
    onLost(reason) {
      metrics.redisLost.add();
      say.warn("redis_lost", `The shared Redis is away (${reason}): limits are those of this gateway alone`);
    },
  });
  cluster?.link.onChange((available) => {
    metrics.redisUp.set(available ? 1 : 0);
    if (available) say.info("redis_there", "Limits, budgets and breakers are shared over Redis");
  });
  return cluster;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
