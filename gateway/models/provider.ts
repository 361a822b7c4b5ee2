// The interface between the router and a provider kind: calls go out as bytes and come back as events.
import type { z } from "zod";
import type { SecretInput } from "../config/fields.ts";
import type { Environment } from "../config/places.ts";
import type { Timeouts } from "../config/stack.ts";
import type { GatewayError } from "../errors.ts";
import type { Connections } from "./connections.ts";
import type { Dial } from "./dial.ts";
import type { Usage } from "./usage.ts";

/** What is sent to a model server. */
export interface ModelCall {
  /** The client's API; each provider kind says in `apis` which ones it speaks. */
  readonly api: ClientApi;
  /** The model's id as the upstream knows it. */
  readonly model: string;
  /** The request as the client sent it, with the model's name already rewritten. */
  readonly body: Buffer;
  readonly stream: boolean;
  /** Of the body, where it is not JSON. */
  readonly contentType?: string | undefined;
  readonly requestId: string;
  readonly traceparent: string | undefined;
  readonly tracestate?: string | undefined;
  /** Of the request's time, what is gone already: with waiting, or with upstreams that failed. */
  readonly spentMs?: number;
  /** Not over a connection that was used before. */
  readonly fresh?: boolean;
  /** Instead of the provider's own key. */
  readonly key?: SecretInput;
  /** Told the head of each answer, also of a refusal; `header` takes names in lower case, and only during this. */
  onHeaders?(status: number, header: (name: string) => string | undefined): void;
  /** Headers of the client that belong to its API; sent on to a provider that speaks the same one. */
  readonly apiHeaders?: Readonly<Record<string, string>> | undefined;
}

export const clientApis = [
  "chat-completions",
  "responses",
  "messages",
  "count-tokens",
  "embeddings",
  "completions",
  "rerank",
  "speech",
  "transcriptions",
  "translations",
] as const;
export type ClientApi = (typeof clientApis)[number];

/**
 * Receives the answer. After `end` or `fail` nothing more is called, and after `CallHandle.abort` nothing at all.
 */
export interface CallSink {
  /** Once, before any data. Only successful answers get here: errors of the upstream arrive at `fail`. */
  head(contentType: string, contentLength: number | undefined): void;
  /** False asks the provider to hold back until `CallHandle.resume`. */
  data(chunk: Buffer): boolean;
  /** Token counts, where they are known and the bytes for the client may not say them; the last one counts. */
  usage?(usage: Usage): void;
  end(): void;
  fail(error: GatewayError): void;
}

export interface CallHandle {
  /** Drops the upstream connection at once, in every phase. */
  abort(): void;
  resume(): void;
}

export interface Provider {
  readonly id: string;
  readonly kind: string;
  readonly models: readonly ModelEntry[];
  /** The APIs that pass as bytes; all others are translated. */
  readonly apis: readonly ClientApi[];
  call(call: ModelCall, sink: CallSink): CallHandle;
  /** Ids that the upstream serves now. Rejects with a GatewayError when it does not answer. */
  listServed(timeoutMs: number): Promise<readonly string[]>;
  /** Its /metrics, or the page at this address. Rejects when there is none. */
  readPage?(address: string | undefined, timeoutMs: number): Promise<Buffer>;
  /** Why a model may not be there, by the upstream's own list as it was seen last; undefined where it is listed, or the list is not known. */
  unlisted?(model: string): string | undefined;
  /** Nothing is kept for later calls; those under way, and those of requests that began before, may finish. */
  close(): Promise<void>;
}

export interface ModelEntry {
  readonly id: string;
  readonly name?: string | undefined;
  readonly input?: readonly string[] | undefined;
  readonly contextWindow?: number | undefined;
  readonly maxTokens?: number | undefined;
  /** As upstream spells it; see stream-usage.ts. */
  readonly compat?: Readonly<Record<string, unknown>> | undefined;
  readonly cost?: ModelPrices | undefined;
}

/** Of a million tokens. */
export interface ModelPrices {
  readonly input?: number | undefined;
  readonly output?: number | undefined;
  readonly cacheRead?: number | undefined;
  readonly cacheWrite?: number | undefined;
}

export interface ProviderDeps {
  readonly timeouts: Timeouts;
  /** The current value of a secret; asked for at each call, so that a changed file takes effect. */
  readonly secret: (input: SecretInput) => string;
  /** Loaded only when a kind needs the network. */
  readonly openConnections: (dial: Dial) => Promise<Connections>;
  /** For the names of proxies. */
  readonly env: Environment;
  readonly version: string;
}

/** One provider kind: its options (for the config schema) and how to make one. */
export interface ProviderKind<Options extends z.ZodType = z.ZodType> {
  readonly options: Options;
  readonly create: (id: string, options: z.output<Options>, deps: ProviderDeps) => Promise<Provider>;
}
