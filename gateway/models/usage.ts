// Reads token counts from the end of an answer, streamed or not, without parsing what passes through.

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
  const counts = [input, output, cachedInput, cacheWrite];
  if (counts.every((count) => Number.isInteger(count) && count >= 0 && count <= maxTokens))
    return { input, output, ...(cachedInput > 0 ? { cachedInput } : {}), ...(cacheWrite > 0 ? { cacheWrite } : {}) };
  return undefined;
}

const tailBytes = 4096;

/** Keeps the first bytes too, where so many are asked for. */
export function createTail(headBytes = 0) {
  let chunks: Buffer[] = [];
  let size = 0;
  let head = "";
  return {
    push(chunk: Buffer): void {
      if (head.length < headBytes) head += chunk.toString("latin1", 0, headBytes - head.length);
      chunks.push(chunk.length > tailBytes ? chunk.subarray(-tailBytes) : chunk);
      size += Math.min(chunk.length, tailBytes);
      if (size <= 4 * tailBytes) return;
      // Copied, so that the large buffer behind it can go.
      chunks = [Buffer.from(Buffer.concat(chunks).subarray(-tailBytes))];
      size = tailBytes;
    },
    text(): string {
      const [first] = chunks;
      const last = chunks.length === 1 && first ? first : Buffer.concat(chunks).subarray(-tailBytes);
      return head + last.toString("latin1");
    },
  };
}

/** What the upstream reported last; undefined when it reported nothing. */
export function readUsage(tail: string): Usage | undefined {
  if (!tail.includes('_tokens"')) return undefined;
  const input = last(tail, ['"prompt_tokens"', '"input_tokens"']);
  const output = last(tail, ['"completion_tokens"', '"output_tokens"']);
  if (input === undefined && output === undefined) return undefined;
  const ofCache = tail.includes('"cache');
  // Anthropic counts what came from its cache, and what went into it, beside the input; OpenAI counts it as a part of it.
  const beside = ofCache ? last(tail, ['"cache_read_input_tokens"']) : undefined;
  const cacheWrite = (ofCache ? last(tail, ['"cache_creation_input_tokens"']) : undefined) ?? 0;
  const cachedInput = beside ?? (ofCache ? last(tail, ['"cached_tokens"']) : undefined) ?? 0;
  return {
    input: (input ?? 0) + (beside ?? 0) + cacheWrite,
    output: output ?? 0,
    ...(cachedInput > 0 ? { cachedInput } : {}),
    ...(cacheWrite > 0 ? { cacheWrite } : {}),
  };
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
  if (text[from] !== ":") return undefined;
  let at = from + 1;
  while (/\s/.test(text[at] ?? "")) at += 1;
  const start = at;
  for (let code = text.charCodeAt(at); code >= 0x30 && code <= 0x39; code = text.charCodeAt(at)) at += 1;
  return at > start ? Number(text.slice(start, at)) : undefined;
}
