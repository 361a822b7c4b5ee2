// Requests as forms with a file (multipart/form-data, RFC 7578): the model's name is read, and rewritten in the bytes; files are not looked into.
import { GatewayError } from "../errors.ts";
import type { ModelRequest } from "./body.ts";
import type { ClientApi } from "./provider.ts";

interface Field {
  readonly name: string;
  /** Of its value, in the body. */
  readonly start: number;
  readonly end: number;
}

const crlf = "\r\n";

export const isFormApi = (api: ClientApi): boolean => api === "transcriptions" || api === "translations";

const isForm = (contentType: string | undefined): boolean => /^multipart\/form-data\b/i.test(contentType ?? "");

export function readFormRequest(body: unknown, contentType: string | undefined): ModelRequest & { readonly bytes: Buffer } {
  if (!isForm(contentType))
    throw new GatewayError("unsupported_media_type", "Send a form: Content-Type: multipart/form-data with its boundary.");
  if (!Buffer.isBuffer(body) || body.length === 0)
    throw new GatewayError("invalid_request", "The request has no body: send a form.");
  const fields = fieldsOf(body, boundaryOf(contentType));
  const value = (name: string): string | undefined => {
    const field = fields.find((entry) => entry.name === name);
    return field && body.toString("utf8", field.start, field.end);
  };
  // Which of two counts is another matter with each server.
  if (fields.filter(({ name }) => name === "model").length > 1)
    throw new GatewayError("invalid_request", "The form names its model twice.", { param: "model" });
  const model = value("model");
  if (model === "" || (model?.length ?? 0) > 1000)
    throw new GatewayError("invalid_request", "model must be the name of a model.", { param: "model" });
  return { model, stream: value("stream") === "true", bytes: body };
}

/** Every field "model" gets the new name; where there is none it is put in front. */
export function withFormModel(body: Buffer, contentType: string | undefined, name: string): Buffer {
  const boundary = boundaryOf(contentType);
  const value = Buffer.from(name);
  const pieces: Buffer[] = [];
  let copied = 0;
  for (const field of fieldsOf(body, boundary)) {
    if (field.name !== "model") continue;
    pieces.push(body.subarray(copied, field.start), value);
    copied = field.end;
  }
  if (pieces.length > 0) return Buffer.concat([...pieces, body.subarray(copied)]);
  const head = `--${boundary}${crlf}content-disposition: form-data; name="model"${crlf}${crlf}`;
  return Buffer.concat([Buffer.from(head), value, Buffer.from(crlf), body]);
}

/** RFC 2046, 5.1.1: at most 70 characters. */
function boundaryOf(contentType: string | undefined): string {
  const match = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType ?? "");
  const boundary = match?.[1] ?? match?.[2];
  if (boundary !== undefined) return boundary;
  throw new GatewayError("invalid_request", "The form has no boundary in its Content-Type.");
}

const maxFields = 100;
const maxHeaderBytes = 16 * 1024;

function fieldsOf(body: Buffer, boundary: string): Field[] {
  const delimiter = Buffer.from(`--${boundary}`);
  const next = Buffer.from(`${crlf}--${boundary}`);
  const fields: Field[] = [];
  let at = body.indexOf(delimiter);
  while (at !== -1) {
    const begun = at + delimiter.length;
    // The last one has two dashes more.
    if (body[begun] === 0x2d && body[begun + 1] === 0x2d) return fields;
    const headers = body.indexOf(crlf, begun);
    const blank = headers === -1 ? -1 : body.indexOf(crlf + crlf, headers);
    const end = blank === -1 ? -1 : body.indexOf(next, blank + 2);
    if (end === -1 || blank - headers > maxHeaderBytes || fields.length === maxFields) break;
    const name = nameOf(body.toString("utf8", headers, blank));
    if (name !== undefined) fields.push({ name, start: Math.min(blank + 4, end), end });
    at = end + 2;
  }
  throw new GatewayError("invalid_request", "The form cannot be read: it does not end with its boundary.");
}

/** Undefined for a file. */
function nameOf(headers: string): string | undefined {
  const line = /^content-disposition:\s*form-data\b.*$/im.exec(headers)?.[0];
  if (!line || /;\s*filename\*?=/i.test(line)) return undefined;
  return /;\s*name="([^"]*)"/i.exec(line)?.[1] ?? /;\s*name=([^\s;"]+)/i.exec(line)?.[1];
}
