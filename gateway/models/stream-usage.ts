// Token counts of streams whose client did not ask for them: the upstream is asked, and what it says of them is kept from the client.
// https://platform.openai.com/docs/api-reference/chat/create (stream_options.include_usage)
import type { GatewayError } from "../errors.ts";
import { parseBody } from "./body.ts";
import type { CallSink, ModelCall, ModelEntry } from "./provider.ts";
import { readChatUsage } from "./translate/chat-answer.ts";
import { isJson, jsonOf, parseJson } from "./translate/json.ts";
import { toUsage } from "./translate/neutral.ts";
import type { Usage } from "./usage.ts";

const asking = Buffer.from('"stream_options":{"include_usage":true},');
const emptyList = Buffer.from("[]");
const brace = 0x7b;
const newline = 0x0a;
const nothing = Buffer.alloc(0);
/** A line that does not end is not the one that is looked for. */
const maxHeldBytes = 64 * 1024;

/** Undefined: the call goes as it is. */
export function askForUsage(
  call: ModelCall,
  sink: CallSink,
  model: ModelEntry | undefined,
): { readonly body: Buffer; readonly sink: CallSink } | undefined {
  if (!call.stream || (call.api !== "chat-completions" && call.api !== "completions")) return undefined;
  // As upstream's own setting for servers that refuse the field.
  if (model?.compat?.supportsUsageInStreaming === false) return undefined;
  const { body } = call;
  // Where the client says anything of it, its word stands.
  if (body.includes('"stream_options"') && jsonOf(parseBody(body)).stream_options !== undefined) return undefined;
  const begin = body.indexOf(brace) + 1;
  return { body: Buffer.concat([body.subarray(0, begin), asking, body.subarray(begin)]), sink: new WithoutUsage(sink) };
}

/** Whole lines pass; the one event that has token counts and nothing else does not. */
class WithoutUsage implements CallSink {
  readonly #sink: CallSink;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #dropBlank = false;

  constructor(sink: CallSink) {
    this.#sink = sink;
  }

  head(contentType: string, contentLength: number | undefined): void {
    this.#sink.head(contentType, contentLength);
  }

  usage(usage: Usage): void {
    this.#sink.usage?.(usage);
  }

  data(chunk: Buffer): boolean {
    // Nearly all pieces end a line.
    const end = chunk[chunk.length - 1] === newline ? chunk.length : chunk.lastIndexOf(newline) + 1;
    if (end === chunk.length) return this.#pass(this.#release(chunk));
    let flows = true;
    if (end > 0) flows = this.#pass(this.#release(chunk.subarray(0, end)));
    this.#held.push(end > 0 ? chunk.subarray(end) : chunk);
    this.#heldBytes += chunk.length - end;
    return this.#heldBytes <= maxHeldBytes ? flows : this.#sink.data(this.#release(nothing));
  }

  end(): void {
    if (this.#heldBytes > 0) this.#pass(this.#release(nothing));
    this.#sink.end();
  }

  fail(error: GatewayError): void {
    this.#sink.fail(error);
  }

  #release(last: Buffer): Buffer {
    if (this.#heldBytes === 0) return last;
    const whole = Buffer.concat([...this.#held, last]);
    this.#held = [];
    this.#heldBytes = 0;
    return whole;
  }

  #pass(lines: Buffer): boolean {
    // Nearly all pieces of a stream are told from it by one look.
    if (!this.#dropBlank && !lines.includes(emptyList)) return this.#sink.data(lines);
    const kept: Buffer[] = [];
    for (let from = 0; from < lines.length; ) {
      const end = lines.indexOf(newline, from);
      const line = lines.subarray(from, end === -1 ? lines.length : end + 1);
      from += line.length;
      const text = line.toString("utf8").trimEnd();
      if (this.#dropBlank && text === "") {
        this.#dropBlank = false;
        continue;
      }
      this.#dropBlank = isUsage(text, this.#sink);
      if (!this.#dropBlank) kept.push(line);
    }
    return kept.length === 0 || this.#sink.data(Buffer.concat(kept));
  }
}

function isUsage(line: string, sink: CallSink): boolean {
  if (!line.startsWith("data:")) return false;
  const event = parseJson(line.slice(5));
  if (!event || !Array.isArray(event.choices) || event.choices.length > 0 || !isJson(event.usage)) return false;
  for (const said of readChatUsage(event.usage)) if (said.type === "usage") sink.usage?.(toUsage(said.usage));
  return true;
}
