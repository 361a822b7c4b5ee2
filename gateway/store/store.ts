// What the parts of the gateway keep, in terms of what it is about; where and how is the business of who implements it.

/** One call at one upstream, however it ended: a request that went to three upstreams has three. */
export interface UsageRecord {
  /** Unique for all time: a record that arrives twice is kept once. */
  readonly id: string;
  /** Epoch in milliseconds: the end of the call. */
  readonly time: number;
  /** The caller's token, by its id. */
  readonly token: string;
  readonly provider: string;
  readonly model: string;
  readonly api: string;
  readonly input: number;
  readonly output: number;
  /** Of the input: read from the provider's cache, and written to it. */
  readonly cached: number;
  readonly stored: number;
  /** Undefined where the model has no price. */
  readonly cost: number | undefined;
  readonly currency: string;
  readonly durationMs: number;
  readonly outcome: string;
  readonly estimated: boolean;
  readonly requestId: string;
}

export const usageDimensions = [
  "token",
  "provider",
  "model",
  "api",
  "outcome",
  "currency",
  "estimated",
  "hour",
  "day",
  "month",
] as const;
export type UsageDimension = (typeof usageDimensions)[number];

export interface UsageQuery {
  /** Epoch in milliseconds; whole hours are counted: the one that holds `from` is the first, the one that holds `to` - 1 the last. */
  readonly from: number;
  readonly to: number;
  readonly groupBy: readonly UsageDimension[];
  /** Of this token only. */
  readonly token?: string | undefined;
}

export interface UsageSums {
  readonly requests: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedTokens: number;
  /** Of these tokens, those that no upstream reported. */
  readonly estimatedTokens: number;
  readonly estimatedRequests: number;
  /** By currency. */
  readonly cost: Readonly<Record<string, number>>;
}

export interface UsageRow extends UsageSums {
  /** The values that the row is about. */
  readonly of: Readonly<Partial<Record<UsageDimension, string>>>;
}

export interface UsageReport {
  readonly rows: readonly UsageRow[];
  readonly totals: UsageSums;
}

export interface UsageReader {
  /** All that was recorded up to now. Throws where the store cannot be read. */
  report(query: UsageQuery): Promise<UsageReport>;
  /** Cost of a token's calls since then. */
  spent(token: string, sinceMs: number, currency: string): number;
}

/** A connection to Redis that may be away at any time: whoever uses it goes on without. */
export interface RedisLink {
  /** True while commands may be sent; false at once when the connection is lost. */
  readonly available: boolean;
  /** Rejects when there is no connection, or no answer in time: it never waits longer than `deadlineMs` (default 250). */
  command(words: readonly (string | Buffer)[], deadlineMs?: number): Promise<unknown>;
  /**
   * Runs a script on the server; it is sent once and called by its digest after that. Commands are done in the order in
   * which they were sent. `onLate`: the answer that came after the deadline, of a script that was done all the same.
   */
  script(
    source: string,
    keys: readonly string[],
    words: readonly string[],
    onLate?: (answer: unknown) => void,
  ): Promise<unknown>;
  /** The name of a key or channel with the prefix of this cluster. */
  key(...parts: readonly string[]): string;
  publish(channel: string, message: string): void;
  subscribe(channel: string, onMessage: (message: string) => void): void;
  /** Each time that it comes and goes; at once when it is there already. */
  onChange(handler: (available: boolean) => void): void;
  close(): Promise<void>;
}
