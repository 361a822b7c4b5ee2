// Anthropic's count of tokens for providers that cannot count: an estimate, and said to be one.
// https://docs.anthropic.com/en/api/messages-count-tokens
import { GatewayError } from "../../errors.ts";
import { parseBody } from "../body.ts";
import type { CallHandle, CallSink, ModelCall } from "../provider.ts";
import { jsonOf } from "./json.ts";
import { readMessagesAsked } from "./messages-request.ts";
import type { Part } from "./neutral.ts";
import { noCall } from "./translated.ts";

/** Usual for English text in today's vocabularies; other scripts take more, and their UTF-8 is longer too. */
const bytesPerToken = 4;
const tokensPerMessage = 4;
/** About what an image of a megapixel costs. */
const tokensPerImage = 1400;

export function countTokens(call: ModelCall, sink: CallSink): CallHandle {
  try {
    const asked = readMessagesAsked(jsonOf(parseBody(call.body)));
    const parts = asked.messages.reduce((sum, message) => sum + tokensPerMessage + sizeOf(message.parts), 0);
    const tools = asked.tools.reduce((sum, tool) => sum + sizeOfText(JSON.stringify(tool)), 0);
    const bytes = Buffer.from(JSON.stringify({ input_tokens: Math.ceil(parts + tools), estimated: true }));
    sink.head("application/json", bytes.length);
    sink.data(bytes);
    sink.end();
  } catch (error) {
    sink.fail(
      error instanceof GatewayError ? error : new GatewayError("internal", "the tokens could not be counted", { cause: error }),
    );
  }
  return noCall;
}

const sizeOfText = (text: string): number => Buffer.byteLength(text) / bytesPerToken;

function sizeOf(parts: readonly Part[]): number {
  return parts.reduce((sum, part) => {
    if (part.type === "image") return sum + tokensPerImage;
    if (part.type === "result") return sum + sizeOf(part.parts);
    return sum + sizeOfText(part.type === "call" ? part.name + part.arguments : part.text);
  }, 0);
}
