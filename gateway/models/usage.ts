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
    text: (): string => head + Buffer.concat(chunks).subarray(-tailBytes).toString("latin1"),
  };
}

/** What the upstream reported last; undefined when it reported nothing. */
export function readUsage(tail: string): Usage | undefined {
  const input = last(tail, /"(?:prompt|input)_tokens":\s*(\d+)/g);
  const output = last(tail, /"(?:completion|output)_tokens":\s*(\d+)/g);
  if (input === undefined && output === undefined) return undefined;
  // Anthropic counts what came from its cache, and what went into it, beside the input; OpenAI counts it as a part of it.
  const beside = last(tail, /"cache_read_input_tokens":\s*(\d+)/g);
  const cacheWrite = last(tail, /"cache_creation_input_tokens":\s*(\d+)/g) ?? 0;
  const cachedInput = beside ?? last(tail, /"cached_tokens":\s*(\d+)/g) ?? 0;
  return {
    input: (input ?? 0) + (beside ?? 0) + cacheWrite,
    output: output ?? 0,
    ...(cachedInput > 0 ? { cachedInput } : {}),
    ...(cacheWrite > 0 ? { cacheWrite } : {}),
  };
}

function last(text: string, pattern: RegExp): number | undefined {
  let value: number | undefined;
  for (const match of text.matchAll(pattern)) value = Number(match[1]);
  return value;
}
