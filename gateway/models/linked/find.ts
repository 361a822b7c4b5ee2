// Finds the addresses of images and files in a request, wherever the APIs put them, and puts other ones in their place.
import { GatewayError } from "../../errors.ts";
import { isJson, type Json } from "../translate/json.ts";

export interface Link {
  /** Where it stands: messages.0.content.1.image_url.url. */
  readonly field: string;
  readonly url: string;
  /** An image has to be one; a file may be anything. */
  readonly isImage: boolean;
  replace(dataUrl: string): void;
}

/**
 * Only bodies that hold "image…, "input_image", "file_url" or "document" are looked into. They are sought by what few
 * other texts hold: each quote of a request would be looked at for a word that begins with one.
 */
const image = Buffer.from("mage");
const fileEnd = Buffer.from('_url"');
const document = Buffer.from('"document"');
/** The same words written with escapes: JSON's readers see no difference, and no client has a reason to. */
const asciiEscape = Buffer.from("\\u00");
const escapedLetter = /\\u00(?:5f|[67])/i;

export function mayHoldLinks(body: Buffer): boolean {
  for (let at = body.indexOf(image); at !== -1; at = body.indexOf(image, at + image.length)) {
    if (isBefore(body, at, '"i') || (body[at + image.length] === 0x22 && isBefore(body, at, '"input_i'))) return true;
  }
  for (let at = body.indexOf(fileEnd); at !== -1; at = body.indexOf(fileEnd, at + fileEnd.length)) {
    if (isBefore(body, at, '"file')) return true;
  }
  if (body.includes(document)) return true;
  return body.includes(asciiEscape) && escapedLetter.test(body.toString("latin1"));
}

function isBefore(body: Buffer, end: number, text: string): boolean {
  const start = end - text.length;
  if (start < 0) return false;
  for (let index = 0; index < text.length; index += 1) if (body[start + index] !== text.charCodeAt(index)) return false;
  return true;
}

/** No API nests so deep, and the stack bears no end of it. */
const maxDepth = 500;

const isAddress = (value: unknown): value is string => typeof value === "string" && /^https?:/i.test(value);

/**
 * https://platform.openai.com/docs/guides/images-vision (image_url: an object in chat completions, a text in responses),
 * …/guides/pdf-files (file_url), https://docs.anthropic.com/en/api/messages (source of type url).
 * `root` is changed by `replace`.
 */
export function findLinks(root: unknown, field = "", depth = 0): Link[] {
  if (depth > maxDepth)
    throw new GatewayError("invalid_request", `The request is nested more than ${maxDepth} levels deep.`, {
      param: field.split(".", 1)[0] ?? "",
    });
  if (Array.isArray(root)) return root.flatMap((entry, index) => findLinks(entry, join(field, index), depth + 1));
  if (!isJson(root)) return [];
  const part: Record<string, unknown> = root;
  const found: Link[] = [];
  for (const [name, value] of Object.entries(part)) {
    const at = join(field, name);
    if (name === "image_url" && isAddress(value)) {
      found.push({ field: at, url: value, isImage: true, replace: (url) => put(part, name, url) });
    } else if (name === "image_url" && isJson(value) && isAddress(value.url)) {
      found.push({ field: join(at, "url"), url: value.url, isImage: true, replace: (url) => put(value, "url", url) });
    } else if (name === "file_url" && isAddress(value)) {
      found.push({
        field: at,
        url: value,
        isImage: false,
        replace(url) {
          delete part[name];
          part.file_data = url;
          part.filename ??= "file";
        },
      });
    } else if (name === "source" && isJson(value) && value.type === "url" && isAddress(value.url)) {
      found.push({
        field: join(at, "url"),
        url: value.url,
        isImage: part.type === "image",
        replace: (url) => put(part, name, inline(url)),
      });
    } else if (typeof value === "object") found.push(...findLinks(value, at, depth + 1));
  }
  return found;
}

const join = (field: string, name: string | number): string => (field === "" ? String(name) : `${field}.${name}`);

function put(holder: Json, name: string, value: unknown): void {
  Reflect.set(holder, name, value);
}

/** Anthropic's form of a data URL. */
function inline(url: string): Json {
  const [head = "", data = ""] = url.split(",", 2);
  return { type: "base64", media_type: head.replace(/^data:|;base64$/g, ""), data };
}
