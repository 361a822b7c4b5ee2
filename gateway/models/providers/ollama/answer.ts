// Answers of Ollama's own API, read: https://github.com/ollama/ollama/blob/main/docs/api.md (ChatResponse and GenerateResponse of the npm package ollama)
import { type Json, jsonOf, listOf, numberOr, textOr } from "../../translate/json.ts";
import { type AnswerEvent, newCallId } from "../../translate/neutral.ts";
import { streamError } from "../../translate/stream-error.ts";

/** Lines of /api/chat and /api/generate; an answer as a whole is a stream of one line. */
export function readOllamaStream(): (line: Json) => AnswerEvent[] {
  let calls = 0;
  return (line) => {
    if (line.error !== undefined) throw streamError(line);
    const message = jsonOf(line.message);
    const events: AnswerEvent[] = [];
    const thinking = textOr(message.thinking, textOr(line.thinking));
    if (thinking !== "") events.push({ type: "reasoning", text: thinking });
    const text = textOr(message.content, textOr(line.response));
    if (text !== "") events.push({ type: "text", text });
    for (const value of listOf(message.tool_calls)) {
      const call = jsonOf(value);
      const fn = jsonOf(call.function);
      const index = calls;
      calls += 1;
      // Older servers give calls no ids, and clients name results by them.
      events.push({ type: "call", index, id: textOr(call.id) || newCallId(), name: textOr(fn.name) });
      events.push({ type: "arguments", index, text: JSON.stringify(fn.arguments ?? {}) });
    }
    if (line.done === true) events.push(...readEnd(line, calls > 0));
    return events;
  };
}

export const readOllamaAnswer = (answer: Json): AnswerEvent[] => readOllamaStream()(answer);

function readEnd(line: Json, called: boolean): AnswerEvent[] {
  const finish: AnswerEvent = { type: "finish", reason: line.done_reason === "length" ? "length" : called ? "tools" : "stop" };
  if (typeof line.eval_count !== "number" && typeof line.prompt_eval_count !== "number") return [finish];
  // A prompt that is in the cache as a whole is left out.
  const usage = {
    input: numberOr(line.prompt_eval_count),
    cached: 0,
    cacheWrite: 0,
    output: numberOr(line.eval_count),
    reasoning: 0,
  };
  return [finish, { type: "usage", usage }];
}
