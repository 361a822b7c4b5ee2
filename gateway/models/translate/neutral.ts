// The neutral form between the APIs: what is asked, and what comes back as events. Each API has a reader and a writer of it.
import { randomUUID } from "node:crypto";
import { GatewayError } from "../../errors.ts";
import type { Usage } from "../usage.ts";
import type { Json } from "./json.ts";

export type Part =
  | { readonly type: "text"; readonly text: string }
  /** An http(s) address, or a data URL. `field` is its place in the client's request. */
  | { readonly type: "image"; readonly url: string; readonly detail?: string | undefined; readonly field?: string }
  | { readonly type: "reasoning"; readonly text: string; readonly signature?: string | undefined }
  /** A tool's call by the model; `arguments` is JSON as text. */
  | { readonly type: "call"; readonly id: string; readonly name: string; readonly arguments: string }
  /** What a tool answered: texts and images. */
  | { readonly type: "result"; readonly id: string; readonly parts: readonly Part[]; readonly isError?: boolean };

export interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly parts: readonly Part[];
}

export interface Tool {
  readonly name: string;
  readonly description?: string | undefined;
  /** JSON schema of the arguments. */
  readonly schema: Json;
  readonly strict?: boolean | undefined;
}

export type ToolChoice = "auto" | "none" | "required" | { readonly name: string };

export type Format =
  | { readonly type: "json" }
  | {
      readonly type: "schema";
      readonly name: string;
      readonly schema: Json;
      readonly description?: string | undefined;
      readonly strict?: boolean | undefined;
    };

/** Settings that have one name in every API that knows them. */
export const samplingFields = [
  "temperature",
  "top_p",
  "top_k",
  "stop",
  "seed",
  "frequency_penalty",
  "presence_penalty",
] as const;
export type SamplingField = (typeof samplingFields)[number];

export interface Asked {
  readonly messages: readonly Message[];
  readonly tools: readonly Tool[];
  readonly toolChoice?: ToolChoice | undefined;
  readonly parallelTools?: boolean | undefined;
  readonly format?: Format | undefined;
  readonly maxTokens?: number | undefined;
  readonly effort?: Effort | undefined;
  /** How much is said. */
  readonly verbosity?: Verbosity | undefined;
  readonly user?: string | undefined;
  readonly sampling: { readonly [field in SamplingField]?: unknown };
  /** What comes after the text that is asked for; only of completions of a text. */
  readonly suffix?: string | undefined;
  readonly stream: boolean;
  /** The client wants the token counts in its stream. */
  readonly includeUsage: boolean;
}

export const efforts = ["none", "minimal", "low", "medium", "high", "xhigh"] as const;
export type Effort = (typeof efforts)[number];

export const verbosities = ["low", "medium", "high"] as const;
export type Verbosity = (typeof verbosities)[number];

export interface TokenUsage {
  /** All tokens read, those from the provider's cache included. */
  readonly input: number;
  readonly cached: number;
  /** Read, and written to the provider's cache; part of `input` too. */
  readonly cacheWrite: number;
  /** All tokens written, reasoning included. */
  readonly output: number;
  readonly reasoning: number;
}

export type Finish = "stop" | "length" | "tools" | "filter";

export type AnswerEvent =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "refusal"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "signature"; readonly text: string }
  | { readonly type: "call"; readonly index: number; readonly id: string; readonly name: string }
  | { readonly type: "arguments"; readonly index: number; readonly text: string }
  | { readonly type: "finish"; readonly reason: Finish; readonly stopSequence?: string | undefined }
  | { readonly type: "usage"; readonly usage: TokenUsage };

/** What an answer says about itself. */
export interface AnswerMeta {
  readonly id: string;
  readonly model: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly asked: Asked;
}

/** An answer as a whole. */
export interface Answer {
  readonly parts: readonly (Exclude<Part, { type: "image" | "result" }> | { type: "refusal"; text: string })[];
  readonly finish: Finish;
  readonly stopSequence: string | undefined;
  readonly usage: TokenUsage;
}

/** A client's API: reads its requests, writes its answers. */
export interface ClientForm {
  readAsked(body: Json): Asked;
  /** Fields that this API names otherwise than chat completions: errors speak the client's words. */
  readonly names?: Readonly<Record<string, string>>;
  writeAnswer(answer: Answer, meta: AnswerMeta): Json;
  writeStream(meta: AnswerMeta): StreamWriter;
}

export interface StreamWriter {
  /** The bytes of the stream that this event causes; may be empty. */
  write(event: AnswerEvent): string;
  /** The end; the last usage and finish were written before. */
  end(): string;
}

/** What a provider's writer has to know of the model. */
export interface Target {
  readonly model: string;
  /** Tokens that the model writes at most, where the config says it. */
  readonly maxTokens: number | undefined;
}

/** An upstream's API: writes requests, reads answers. */
export interface UpstreamForm {
  /** sse: events with JSON; lines: a JSON object a line. */
  readonly framing: "sse" | "lines";
  /** How its streams end; see stream-ends.ts. */
  readonly ends: RegExp;
  /** Knows what comes after a text. */
  readonly readsSuffix?: boolean;
  writeAsked(asked: Asked, target: Target): Json;
  readAnswer(answer: Json): readonly AnswerEvent[];
  /** A reader of one stream. An error inside of the stream is thrown as a GatewayError. */
  readStream(): (event: Json) => readonly AnswerEvent[];
}

export const noUsage: TokenUsage = { input: 0, cached: 0, cacheWrite: 0, output: 0, reasoning: 0 };

export const toUsage = ({ input, cached, cacheWrite, output }: TokenUsage): Usage => ({
  input,
  output,
  ...(cached > 0 ? { cachedInput: cached } : {}),
  ...(cacheWrite > 0 ? { cacheWrite } : {}),
});

/** For calls of tools that came without an id of their own: not used twice in a conversation. */
export const newCallId = (): string => `call_${randomUUID().replaceAll("-", "").slice(0, 24)}`;

/** What this provider's API has no word for: better refused than dropped. */
export function untranslatable(field: string, why: string): GatewayError {
  return new GatewayError("invalid_request", `${field} ${why}: leave it out, or ask a model of another provider.`, {
    param: field,
  });
}

/** An error of a writer, with its field as the client wrote it. */
export function inWordsOf({ names = {} }: ClientForm, error: unknown): unknown {
  if (!(error instanceof GatewayError) || error.param === null) return error;
  const name = Object.hasOwn(names, error.param) ? names[error.param] : undefined;
  if (name === undefined) return error;
  const rest = error.message.startsWith(error.param) ? error.message.slice(error.param.length) : `: ${error.message}`;
  return new GatewayError(error.code, `${name}${rest}`, { status: error.status, param: name });
}

/** What upstreams' errors call a field, in the words of chat completions: what is not here has one name in all APIs, or none. */
const upstreamWords: Readonly<Record<string, string>> = {
  max_output_tokens: "max_tokens",
  max_completion_tokens: "max_tokens",
  stop_sequences: "stop",
  "text.format": "response_format",
  "text.verbosity": "verbosity",
  "reasoning.effort": "reasoning_effort",
  input: "messages",
};
const commonWords = [
  ...["model", "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "max_tokens", "user"],
  ...["reasoning_effort", "verbosity", ...samplingFields],
];

/** The field of the client's request that an upstream's error is about; undefined where that cannot be told. */
export function paramInWordsOf({ names = {} }: Pick<ClientForm, "names">, param: string): string | undefined {
  // Places within a list are others in each API.
  for (const said of [param, /^[a-z_]+/.exec(param)?.[0] ?? ""]) {
    const word = (Object.hasOwn(upstreamWords, said) ? upstreamWords[said] : undefined) ?? said;
    if (commonWords.includes(word)) return Object.hasOwn(names, word) ? names[word] : word;
  }
  return undefined;
}

/** Of providers that have no word for it; "medium" is what they do anyway. */
export function refuseVerbosity({ verbosity }: Asked): void {
  if (verbosity !== undefined && verbosity !== "medium")
    throw untranslatable("verbosity", "is not known to this model's provider");
}

/** Refuses those settings that are set and that `known` does not name. */
export function onlySampling(asked: Asked, known: readonly SamplingField[]): void {
  for (const field of samplingFields)
    if (asked.sampling[field] !== undefined && !known.includes(field))
      throw untranslatable(field, "is not known to this model's provider");
}

export function collect(events: readonly AnswerEvent[]): Answer {
  const parts: Answer["parts"][number][] = [];
  const calls = new Map<number, number>();
  let finish: Finish = "stop";
  let stopSequence: string | undefined;
  let usage = noUsage;
  for (const event of events) {
    const last = parts.at(-1);
    if (event.type === "text" || event.type === "refusal" || event.type === "reasoning") {
      if (last?.type === event.type) parts[parts.length - 1] = { ...last, text: last.text + event.text };
      else parts.push({ type: event.type, text: event.text });
    } else if (event.type === "signature") {
      if (last?.type === "reasoning") parts[parts.length - 1] = { ...last, signature: event.text };
    } else if (event.type === "call") {
      calls.set(event.index, parts.length);
      parts.push({ type: "call", id: event.id, name: event.name, arguments: "" });
    } else if (event.type === "arguments") {
      const at = calls.get(event.index) ?? -1;
      const call = parts[at];
      if (call?.type === "call") parts[at] = { ...call, arguments: call.arguments + event.text };
    } else if (event.type === "finish") {
      finish = event.reason;
      stopSequence = event.stopSequence;
    } else usage = event.usage;
  }
  return { parts, finish, stopSequence, usage };
}

export const textOf = (parts: readonly { readonly type: string; readonly text?: string }[], type = "text"): string =>
  parts.map((part) => (part.type === type ? (part.text ?? "") : "")).join("");
