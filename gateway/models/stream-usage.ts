// Token counts of streams whose client did not ask for them: the upstream is asked, and what it says of them is kept from the client.
// https://platform.openai.com/docs/api-reference/chat/create (stream_options.include_usage)
import type { CallSink, ModelCall, ModelEntry } from "./provider.ts";
import { readChatUsage } from "./translate/chat-answer.ts";
import { isJson, parseJson } from "./translate/json.ts";
import { toUsage } from "./translate/neutral.ts";

const asking = Buffer.from('"stream_options":{"include_usage":true},');
const emptyList = Buffer.from("[]");
const brace = 0x7b;
const newline = 0x0a;
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
  if (body.includes('"stream_options"') && parseJson(body.toString("utf8"))?.stream_options !== undefined) return undefined;
  const begin = body.indexOf(brace) + 1;
  return { body: Buffer.concat([body.subarray(0, begin), asking, body.subarray(begin)]), sink: withoutUsage(sink) };
}

/** Whole lines pass; the one event that has token counts and nothing else does not. */
function withoutUsage(sink: CallSink): CallSink {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let dropBlank = false;

  function release(last: Buffer): Buffer {
    if (heldBytes === 0) return last;
    const whole = Buffer.concat([...held, last]);
    held = [];
    heldBytes = 0;
    return whole;
  }

  function pass(lines: Buffer): boolean {
    // Nearly all pieces of a stream are told from it by one look.
    if (!dropBlank && !lines.includes(emptyList)) return sink.data(lines);
    const kept: Buffer[] = [];
    for (let from = 0; from < lines.length; ) {
      const end = lines.indexOf(newline, from);
      const line = lines.subarray(from, end === -1 ? lines.length : end + 1);
      from += line.length;
      const text = line.toString("utf8").trimEnd();
      if (dropBlank && text === "") {
        dropBlank = false;
        continue;
      }
      dropBlank = isUsage(text, sink);
      if (!dropBlank) kept.push(line);
    }
    return kept.length === 0 || sink.data(Buffer.concat(kept));
  }

  return {
    ...sink,
    data(chunk) {
      const end = chunk.lastIndexOf(newline) + 1;
      if (end === chunk.length) return pass(release(chunk));
      let flows = true;
      if (end > 0) flows = pass(release(chunk.subarray(0, end)));
      held.push(end > 0 ? chunk.subarray(end) : chunk);
      heldBytes += chunk.length - end;
      return heldBytes <= maxHeldBytes ? flows : sink.data(release(Buffer.alloc(0)));
    },
    end() {
      if (heldBytes > 0) pass(release(Buffer.alloc(0)));
      sink.end();
    },
  };
}

function isUsage(line: string, sink: CallSink): boolean {
  if (!line.startsWith("data:")) return false;
  const event = parseJson(line.slice(5));
  if (!event || !Array.isArray(event.choices) || event.choices.length > 0 || !isJson(event.usage)) return false;
  for (const said of readChatUsage(event.usage)) if (said.type === "usage") sink.usage?.(toUsage(said.usage));
  return true;
}
