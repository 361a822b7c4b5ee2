// Data URLs: an image inside of the request, as the APIs write it in two ways.
import { wrong } from "./json.ts";

export interface InlineImage {
  readonly mediaType: string;
  readonly base64: string;
}

/** Undefined: an address on the network. Throws for what is neither. */
export function inlineImage(url: string, field: string): InlineImage | undefined {
  const match = /^data:([a-z]+\/[\w.+-]+);base64,/i.exec(url.slice(0, 100));
  if (match?.[1]) return { mediaType: match[1].toLowerCase(), base64: url.slice(match[0].length) };
  if (/^https?:\/\//i.test(url)) return undefined;
  throw wrong(field, "an http(s) address or a data URL with base64");
}
