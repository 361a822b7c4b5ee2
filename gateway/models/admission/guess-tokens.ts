// Guesses how many tokens a request will use, before anybody has counted: what it reserves of a quota until the upstream says more.
import { type BodyWords, numberAt } from "../body-scan.ts";

const bytesPerToken = 4;
/** An answer is taken to be this long where the request sets no limit. */
const usualAnswer = 500;
/** What providers charge for a picture of usual size. */
const tokensPerImage = 1000;
const base64 = Buffer.from(";base64,");

export function guessTokens(body: Buffer): number {
  const { input, output } = guessUsage(body);
  return input + output;
}

/** `words` are those of this body, or of the one that it was made of. */
export function guessUsage(body: Buffer, words?: BodyWords): { input: number; output: number } {
  if (words?.mayHoldData === false) {
    return { input: Math.ceil(body.length / bytesPerToken), output: words.outputLimit ?? usualAnswer };
  }
  // A form, not JSON: sound is not sold by what can be guessed here.
  if (body[0] === 0x2d) return { input: 0, output: 0 };
  let bytes = body.length;
  let images = 0;
  for (let at = body.indexOf(base64); at !== -1; at = body.indexOf(base64, at + 1)) {
    const end = body.indexOf(0x22, at);
    bytes -= (end === -1 ? body.length : end) - at;
    images += 1;
  }
  return {
    input: Math.ceil(bytes / bytesPerToken) + images * tokensPerImage,
    output: answerLimit(body) ?? usualAnswer,
  };
}

/** With this the names of limits end, and little else does: the body is looked through once for the three. */
const limitEnd = Buffer.from('_tokens"');

/** max_tokens counts before max_completion_tokens, that before max_output_tokens; of each name the first one. */
function answerLimit(body: Buffer): number | undefined {
  let completion: number | undefined;
  let output: number | undefined;
  let seen = 0;
  for (let at = body.indexOf(limitEnd); at !== -1; at = body.indexOf(limitEnd, at + limitEnd.length)) {
    const end = at + limitEnd.length;
    if ((seen & 1) === 0 && isBefore(body, at, '"max')) {
      seen |= 1;
      const limit = numberAfter(body, end);
      if (limit !== undefined) return limit;
    } else if ((seen & 2) === 0 && isBefore(body, at, '"max_completion')) {
      seen |= 2;
      completion = numberAfter(body, end);
    } else if ((seen & 4) === 0 && isBefore(body, at, '"max_output')) {
      seen |= 4;
      output = numberAfter(body, end);
    }
  }
  return completion ?? output;
}

function isBefore(body: Buffer, end: number, text: string): boolean {
  const start = end - text.length;
  if (start < 0) return false;
  for (let index = 0; index < text.length; index += 1) if (body[start + index] !== text.charCodeAt(index)) return false;
  return true;
}

const lookedAt = 16;

function numberAfter(body: Buffer, from: number): number | undefined {
  const to = Math.min(body.length, from + lookedAt);
  const at = skipSpace(body, from, to);
  if (at === to || body[at] !== 0x3a) return undefined;
  return numberAt(body, skipSpace(body, at + 1, to), to);
}

function skipSpace(body: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to && isSpace(body[at] ?? 0)) at += 1;
  return at;
}

const isSpace = (code: number): boolean => code === 0x20 || (code >= 0x09 && code <= 0x0d) || code === 0xa0;
