// Guesses how many tokens a request will use, before anybody has counted: what it reserves of a quota until the upstream says more.

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

/** The one before counts where there are several; of a name that is there more than once the first. */
const limits = ['"max_tokens"', '"max_completion_tokens"', '"max_output_tokens"'].map((name) => Buffer.from(name));
/** With this they all end, and little else does: the body is looked through once for the three. */
const limitEnd = Buffer.from('_tokens"');

function answerLimit(body: Buffer): number | undefined {
  const found = limits.map((): number | undefined => undefined);
  const seen = limits.map(() => false);
  for (let at = body.indexOf(limitEnd); at !== -1; at = body.indexOf(limitEnd, at + limitEnd.length)) {
    const end = at + limitEnd.length;
    const index = limits.findIndex((name) => body.compare(name, 0, name.length, Math.max(0, end - name.length), end) === 0);
    if (index === -1 || seen[index]) continue;
    seen[index] = true;
    found[index] = numberAfter(body, end);
    if (index === 0 && found[0] !== undefined) break;
  }
  return found.find((limit) => limit !== undefined);
}

function numberAfter(body: Buffer, from: number): number | undefined {
  const digits = /^\s*:\s*(\d{1,9})/.exec(body.toString("latin1", from, from + 16))?.[1];
  return digits === undefined ? undefined : Number(digits);
}
