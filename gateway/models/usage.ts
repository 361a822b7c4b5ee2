// Reads token counts from the end of an answer, streamed or not, without parsing what passes through.

import { KeptBytes } from "./kept-bytes.ts";

export interface Usage {
  /** All that the model read, also what came from the provider's cache and what was written to it. */
  readonly input: number;
  readonly output: number;
  /** Of the input: read from the provider's cache. */
  readonly cachedInput?: number;
  /** Of the input: written to the provider's cache. */
  readonly cacheWrite?: number;
}

/** Far more than any model reads or writes in one call. */
const maxTokens = 1e8;

/** What can be counted and paid: whole numbers from 0 on. Undefined where the upstream says what cannot be, which would ruin sums and budgets. */
export function soundUsage({ input, output, cachedInput = 0, cacheWrite = 0 }: Usage): Usage | undefined {
  if (isSound(input) && isSound(output) && isSound(cachedInput) && isSound(cacheWrite))
    return usageOf(input, output, cachedInput, cacheWrite);
  return undefined;
}

const isSound = (count: number): boolean => Number.isInteger(count) && count >= 0 && count <= maxTokens;

function usageOf(input: number, output: number, cachedInput: number, cacheWrite: number): Usage {
  if (cachedInput === 0 && cacheWrite === 0) return { input, output };
  return { input, output, ...(cachedInput > 0 ? { cachedInput } : {}), ...(cacheWrite > 0 ? { cacheWrite } : {}) };
}

const tailBytes = 4096;
/** So much is kept before it is cut to that. */
const keptBytes = 2 * tailBytes;
/** With this all names of counts end; the longest of them begins so many bytes before it. */
const nameEnd = Buffer.from('_tokens"');
const nameBytes = 32;

/** The last bytes of an answer. */
export class Tail {
  readonly #headBytes: number;
  #head = "";
  readonly #kept = new KeptBytes();

  /** Keeps the first bytes too, where so many are asked for. */
  constructor(headBytes = 0) {
    this.#headBytes = headBytes;
  }

  push(chunk: Buffer): void {
    if (this.#head.length < this.#headBytes) this.#head += chunk.toString("latin1", 0, this.#headBytes - this.#head.length);
    const kept = this.#kept;
    if (chunk.length > tailBytes) {
      kept.clear();
      kept.push(chunk.subarray(-tailBytes));
      return;
    }
    if (kept.length + chunk.length > keptBytes) kept.keepLast(tailBytes);
    kept.push(chunk);
  }

  text(): string {
    return this.#head + this.#last().toString("latin1");
  }

  /** What `readUsage` reads of the text: what comes before the first name of a count is made no text. */
  usage(): Usage | undefined {
    const bytes = this.#last();
    const head = this.#head;
    const found = bytes.indexOf(nameEnd);
    if (found !== -1) return readUsage(head + bytes.toString("latin1", Math.max(0, found - nameBytes)));
    return head === "" ? undefined : readUsage(head + bytes.toString("latin1", 0, nameBytes));
  }

  #last(): Buffer {
    const { bytes } = this.#kept;
    return bytes.length > tailBytes ? bytes.subarray(-tailBytes) : bytes;
  }
}

const inputNames = ['"prompt_tokens"', '"input_tokens"'];
const outputNames = ['"completion_tokens"', '"output_tokens"'];
const cacheReadNames = ['"cache_read_input_tokens"'];
const cacheWriteNames = ['"cache_creation_input_tokens"'];
const cachedNames = ['"cached_tokens"'];

/** What the upstream reported last; undefined when it reported nothing. */
export function readUsage(tail: string): Usage | undefined {
  if (!tail.includes('_tokens"')) return undefined;
  const input = last(tail, inputNames);
  const output = last(tail, outputNames);
  if (input === undefined && output === undefined) return undefined;
  const ofCache = tail.includes('"cache');
  // Anthropic counts what came from its cache, and what went into it, beside the input; OpenAI counts it as a part of it.
  const beside = ofCache ? last(tail, cacheReadNames) : undefined;
  const cacheWrite = (ofCache ? last(tail, cacheWriteNames) : undefined) ?? 0;
  const cachedInput = beside ?? (ofCache ? last(tail, cachedNames) : undefined) ?? 0;
  return usageOf((input ?? 0) + (beside ?? 0) + cacheWrite, output ?? 0, cachedInput, cacheWrite);
}

/** The number after the last of these names that has one. */
function last(text: string, names: readonly string[]): number | undefined {
  let value: number | undefined;
  let found = -1;
  for (const name of names) {
    for (let at = text.indexOf(name); at !== -1; at = text.indexOf(name, at + 1)) {
      if (at < found) continue;
      const number = numberAfter(text, at + name.length);
      if (number === undefined) continue;
      value = number;
      found = at;
    }
  }
  return value;
}

function numberAfter(text: string, from: number): number | undefined {
  if (text.charCodeAt(from) !== 0x3a) return undefined;
  let at = from + 1;
  while (isSpace(text.charCodeAt(at))) at += 1;
  const start = at;
  for (let code = text.charCodeAt(at); code >= 0x30 && code <= 0x39; code = text.charCodeAt(at)) at += 1;
  return at > start ? Number(text.slice(start, at)) : undefined;
}

const isSpace = (code: number): boolean => code === 0x20 || (code >= 0x09 && code <= 0x0d) || code === 0xa0;
