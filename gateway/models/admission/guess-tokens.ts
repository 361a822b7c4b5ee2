// Guesses how many tokens a request will use, before anybody has counted: what it reserves of a quota until the upstream says more.

const bytesPerToken = 4;
/** An answer is taken to be this long where the request sets no limit. */
const usualAnswer = 500;
/** What providers charge for a picture of usual size. */
const tokensPerImage = 1000;
const base64 = ";base64,";

export function guessTokens(body: Buffer): number {
  const { input, output } = guessUsage(body);
  return input + output;
}

export function guessUsage(body: Buffer): { input: number; output: number } {
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

function answerLimit(body: Buffer): number | undefined {
  for (const name of ['"max_tokens"', '"max_completion_tokens"', '"max_output_tokens"']) {
    const at = body.indexOf(name);
    if (at === -1) continue;
    const found = /^\s*:\s*(\d{1,9})/.exec(body.toString("latin1", at + name.length, at + name.length + 16));
    if (found?.[1]) return Number(found[1]);
  }
  return undefined;
}
