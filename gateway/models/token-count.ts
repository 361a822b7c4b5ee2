// Counts tokens by the text itself, for answers whose upstream does not say: by a rule of thumb, and without parsing whole events.
import type { ClientApi } from "./provider.ts";

/** Keys whose texts are what a model wrote, in the client's API. A stream of `responses` repeats each text whole at its end. */
const written: { readonly [api in ClientApi]?: { readonly stream: RegExp; readonly whole: RegExp } } = {
  "chat-completions": {
    stream: /"(?:content|reasoning_content|reasoning|refusal|arguments)":\s*"/g,
    whole: /"(?:content|reasoning_content|reasoning|refusal|arguments)":\s*"/g,
  },
  responses: { stream: /"delta":\s*"/g, whole: /"(?:text|arguments)":\s*"/g },
  messages: { stream: /"(?:text|thinking|partial_json)":\s*"/g, whole: /"(?:text|thinking|partial_json)":\s*"/g },
  completions: { stream: /"text":\s*"/g, whole: /"text":\s*"/g },
};

/** Keys of a request whose texts are read by the model. */
const read = /"(?:content|text|input|prompt|instructions|system|description|arguments|query|output)":\s*(\[\s*)?"/g;

/** The text that a model wrote, in a piece of an answer; one that is cut off inside a text counts up to there. */
export function textWritten(api: ClientApi, stream: boolean, json: string): string {
  const keys = written[api]?.[stream ? "stream" : "whole"];
  return keys ? textsOf(json, keys) : "";
}

/** Whether a model writes text in answers of this API. */
export const writes = (api: ClientApi): boolean => written[api] !== undefined;

export const textRead = (json: string): string => textsOf(json, read);

function textsOf(json: string, keys: RegExp): string {
  let text = "";
  keys.lastIndex = 0;
  for (let found = keys.exec(json); found; found = keys.exec(json)) {
    let from = keys.lastIndex;
    // A list of texts, as embeddings are asked for: all of it.
    for (;;) {
      const end = endOfText(json, from);
      // Images and other files travel as text, but are not read as such.
      if (!json.startsWith("data:", from)) text += unescaped(json.slice(from, end));
      keys.lastIndex = end + 1;
      const next = found[1] === undefined ? undefined : /^"\s*,\s*"/.exec(json.slice(end, end + 16));
      if (!next) break;
      from = end + next[0].length;
    }
  }
  return text;
}

function endOfText(json: string, from: number): number {
  for (let end = json.indexOf('"', from); end !== -1; end = json.indexOf('"', end + 1)) {
    let slashes = 0;
    while (json[end - 1 - slashes] === "\\") slashes += 1;
    if (slashes % 2 === 0) return end;
  }
  return json.length;
}

function unescaped(text: string): string {
  if (!text.includes("\\")) return text;
  try {
    const value: unknown = JSON.parse(`"${text}"`);
    return typeof value === "string" ? value : text;
  } catch {
    return text;
  }
}

const letter = 1;
const digit = 2;
const space = 3;
const mark = 4;
/** Letters of other alphabets. */
const foreign = 5;

/**
 * What byte-pair vocabularies make of text, roughly: a word with the space before it is one token and a long one several,
 * three digits are one, signs are one or two each, letters of other alphabets three to a token, ideographs one each.
 */
export function countTokens(text: string): number {
  let tokens = 0;
  let sort = 0;
  let length = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code >= 0x2e80 && code < 0xfe00) {
      tokens += 1 + tokensOf(sort, length);
      sort = 0;
      length = 0;
      continue;
    }
    const next = code < sorts.length ? (sorts[code] ?? foreign) : foreign;
    if (next !== sort) {
      tokens += tokensOf(sort, length);
      sort = next;
      length = 0;
    }
    length += 1;
  }
  return tokens + tokensOf(sort, length);
}

function tokensOf(sort: number, length: number): number {
  switch (sort) {
    case letter:
      return length <= 9 ? 1 : 1 + Math.ceil((length - 9) / 5);
    case foreign:
    case digit:
      return Math.ceil(length / 3);
    case mark:
      return Math.ceil(length / 2);
    // One space belongs to the word after it.
    case space:
      return length > 1 ? 1 : 0;
    default:
      return 0;
  }
}

/** By the character, below the letters of other alphabets. */
const sorts = Uint8Array.from({ length: 0xc0 }, (_, code) => {
  if ((code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 39) return letter;
  if (code >= 48 && code <= 57) return digit;
  return code === 32 || (code >= 9 && code <= 13) ? space : mark;
});
