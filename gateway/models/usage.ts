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

export function createTail() {
  let chunks: Buffer[] = [];
  let size = 0;
  return {
    push(chunk: Buffer): void {
      chunks.push(chunk.length > tailBytes ? chunk.subarray(-tailBytes) : chunk);
      size += Math.min(chunk.length, tailBytes);
      if (size <= 4 * tailBytes) return;
      // Copied, so that the large buffer behind it can go.
      chunks = [Buffer.from(Buffer.concat(chunks).subarray(-tailBytes))];
      size = tailBytes;
    },
    text: (): string => Buffer.concat(chunks).subarray(-tailBytes).toString("latin1"),
  };
}

/** What the upstream reported last; undefined when it reported nothing. */
export function readUsage(tail: string): Usage | undefined {
  const input = last(tail, /"(?:prompt|input)_tokens":\s*(\d+)/g);
  const output = last(tail, /"(?:completion|output)_tokens":\s*(\d+)/g);
  return input === undefined && output === undefined ? undefined : { input: input ?? 0, output: output ?? 0 };
}

function last(text: string, pattern: RegExp): number | undefined {
  let value: number | undefined;
  for (const match of text.matchAll(pattern)) value = Number(match[1]);
  return value;
}
