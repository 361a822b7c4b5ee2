/** Constant load from a process of its own, by a raw client that never tries anything twice; a ledger of all that was not as it must be. */

export interface LoadOptions {
  /** http:// or https://, without a path. */
  url: string;
  /** Trusted instead of the system's authorities. */
  caFile?: string;
  /** Asked for and checked in the certificate, where the URL holds an address. */
  serverName?: string;
  token: string;
  model: string;
  /** Chat calls that begin in each second, whatever became of the ones before; 0 for none. */
  callsPerSecond: number;
  /** Every n-th call opens a connection of its own; the others keep theirs. */
  newConnectionEvery?: number;
  /** Streams that run at any moment; each one that ended is followed by the next. Needs the numbered streams of number-upstream.ts. */
  streams?: number;
  /** What the model server is asked for, and what each stream is checked against. */
  streamPieces?: number;
  streamPaceMs?: number;
  /** WebSockets to an echo server that are open all the time; each sends a numbered message every `pingEveryMs`. */
  webSockets?: { path: string; count: number; pingEveryMs?: number };
  /** What takes longer counts as a failure: a call, the gap between two pieces above their pace, an echo. */
  slowMs?: number;
  /** To run it elsewhere: a network host's prefix. */
  prefix?: readonly string[];
}

export type LoadKind = "call" | "stream" | "websocket";

export interface LoadFailure {
  readonly kind: LoadKind;
  readonly at: string;
  /** The name of the phase in which it was noticed. */
  readonly phase: string;
  /** Milliseconds since it began. */
  readonly afterMs: number;
  readonly expected: string;
  readonly got: string;
  /** It was sent on a connection that had served before. */
  readonly reused: boolean;
  /** The header that says which gateway answered, where there was one. */
  readonly servedBy?: string;
}

export interface LoadReport {
  readonly calls: number;
  readonly streams: number;
  readonly echoes: number;
  /** New connections, and those that the other side closed in order between two calls: no failures. */
  readonly connections: number;
  readonly closedBetween: number;
  readonly failures: readonly LoadFailure[];
  /** The longest call, gap and echo, in milliseconds, and when. */
  readonly slowest: { readonly [kind in LoadKind]: { readonly ms: number; readonly at: string; readonly phase: string } };
}

export interface Load {
  /** From now on failures carry this name. */
  phase(name: string): void;
  /** So far. */
  report(): Promise<LoadReport>;
  /** No new calls; streams that run are waited for to their ends. */
  finish(): Promise<LoadReport>;
  /** At once, without a report; good after `finish` too. */
  stop(): Promise<void>;
}

/** Resolves when the first call, stream and echo were good; rejects with the ledger when they were not within 30 s. */
export async function startLoad(_options: LoadOptions): Promise<Load> {
  throw new Error("no load yet");
}
