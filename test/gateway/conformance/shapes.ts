// The events of each client API, strictly: an unknown or missing field fails. Written from the types of the official SDKs.
import { z } from "zod";

const text = z.string();
const count = z.int().min(0);

/** ChatCompletionChunk and CompletionUsage of openai (resources/chat/completions, resources/completions). */
const chatChunk = z.strictObject({
  id: text.startsWith("chatcmpl-"),
  object: z.literal("chat.completion.chunk"),
  created: count,
  model: text,
  choices: z.array(
    z.strictObject({
      index: z.literal(0),
      delta: z.strictObject({
        role: z.literal("assistant").optional(),
        content: text.optional(),
        refusal: text.optional(),
        // vLLM's and DeepSeek's addition.
        reasoning_content: text.optional(),
        tool_calls: z
          .array(
            z.strictObject({
              index: count,
              id: text.min(1).optional(),
              type: z.literal("function").optional(),
              function: z.strictObject({ name: text.min(1).optional(), arguments: text }),
            }),
          )
          .optional(),
      }),
      logprobs: z.null(),
      finish_reason: z.enum(["stop", "length", "tool_calls", "content_filter"]).nullable(),
    }),
  ),
  usage: z
    .strictObject({
      prompt_tokens: count,
      completion_tokens: count,
      total_tokens: count,
      prompt_tokens_details: z.strictObject({ cached_tokens: count }),
      completion_tokens_details: z.strictObject({ reasoning_tokens: count }),
    })
    .optional(),
});

/** RawMessageStreamEvent and Usage of @anthropic-ai/sdk (resources/messages/messages). */
const anthropicUsage = z.strictObject({
  input_tokens: count,
  cache_creation_input_tokens: count,
  cache_read_input_tokens: count,
  output_tokens: count,
});
const messagesEvent = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("message_start"),
    message: z.strictObject({
      id: text.startsWith("msg_"),
      type: z.literal("message"),
      role: z.literal("assistant"),
      model: text,
      content: z.array(z.never()),
      stop_reason: z.null(),
      stop_sequence: z.null(),
      usage: anthropicUsage,
    }),
  }),
  z.strictObject({
    type: z.literal("content_block_start"),
    index: count,
    content_block: z.discriminatedUnion("type", [
      z.strictObject({ type: z.literal("text"), text: z.literal("") }),
      z.strictObject({ type: z.literal("thinking"), thinking: z.literal(""), signature: z.literal("") }),
      z.strictObject({ type: z.literal("tool_use"), id: text.min(1), name: text.min(1), input: z.strictObject({}) }),
    ]),
  }),
  z.strictObject({
    type: z.literal("content_block_delta"),
    index: count,
    delta: z.discriminatedUnion("type", [
      z.strictObject({ type: z.literal("text_delta"), text }),
      z.strictObject({ type: z.literal("thinking_delta"), thinking: text }),
      z.strictObject({ type: z.literal("signature_delta"), signature: text }),
      z.strictObject({ type: z.literal("input_json_delta"), partial_json: text }),
    ]),
  }),
  z.strictObject({ type: z.literal("content_block_stop"), index: count }),
  z.strictObject({
    type: z.literal("message_delta"),
    delta: z.strictObject({
      stop_reason: z.enum(["end_turn", "max_tokens", "tool_use", "stop_sequence", "refusal"]),
      stop_sequence: text.nullable(),
    }),
    usage: anthropicUsage,
  }),
  z.strictObject({ type: z.literal("message_stop") }),
]);

/** ResponseStreamEvent of openai (resources/responses/responses); the response itself by its required fields. */
const response = z.looseObject({
  id: text.startsWith("resp_"),
  object: z.literal("response"),
  created_at: count,
  status: z.enum(["in_progress", "completed", "incomplete"]),
  model: text,
  error: z.null(),
  incomplete_details: z.strictObject({ reason: z.enum(["max_output_tokens", "content_filter"]) }).nullable(),
  instructions: z.null(),
  metadata: z.strictObject({}),
  output: z.array(z.looseObject({ id: text, type: z.enum(["message", "reasoning", "function_call"]) })),
  parallel_tool_calls: z.boolean(),
  temperature: z.number().nullable(),
  tool_choice: z.union([text, z.looseObject({})]),
  tools: z.array(z.looseObject({})),
  top_p: z.number().nullable(),
});
const place = { sequence_number: count, item_id: text, output_index: count };
const item = { sequence_number: count, output_index: count, item: z.looseObject({ id: text, type: text }) };
const content = { ...place, content_index: z.literal(0) };
const summary = { ...place, summary_index: z.literal(0) };
const one = <Shape extends z.core.$ZodLooseShape>(type: string, shape: Shape) =>
  z.strictObject({ type: z.literal(type), ...shape });
const whole = { sequence_number: count, response };
const responsesEvent = z.union([
  one("response.created", whole),
  one("response.in_progress", whole),
  one("response.completed", whole),
  one("response.incomplete", whole),
  one("response.output_item.added", item),
  one("response.output_item.done", item),
  one("response.content_part.added", { ...content, part: z.looseObject({ type: text }) }),
  one("response.content_part.done", { ...content, part: z.looseObject({ type: text }) }),
  one("response.output_text.delta", { ...content, delta: text, logprobs: z.array(z.never()) }),
  one("response.output_text.done", { ...content, text, logprobs: z.array(z.never()) }),
  one("response.refusal.delta", { ...content, delta: text }),
  one("response.refusal.done", { ...content, refusal: text }),
  one("response.reasoning_summary_part.added", { ...summary, part: z.looseObject({ type: text }) }),
  one("response.reasoning_summary_part.done", { ...summary, part: z.looseObject({ type: text }) }),
  one("response.reasoning_summary_text.delta", { ...summary, delta: text }),
  one("response.reasoning_summary_text.done", { ...summary, text }),
  one("response.function_call_arguments.delta", { ...place, delta: text }),
  one("response.function_call_arguments.done", { ...place, name: text, arguments: text }),
]);

const shapes: Record<string, z.ZodType> = { "chat-completions": chatChunk, messages: messagesEvent, responses: responsesEvent };

/** Throws at the first event that is not as the API's types say, or whose `event:` line differs from its type. */
export function checkEvents(api: string, stream: string): void {
  const shape = shapes[api];
  if (!shape) throw new Error(`no shapes of ${api}`);
  for (const event of stream.split("\n\n").slice(0, -1)) {
    const lines = event.split("\n");
    const data = lines.find((line) => line.startsWith("data: "))?.slice(6);
    if (data === undefined || data === "[DONE]") continue;
    const value: unknown = JSON.parse(data);
    const result = shape.safeParse(value);
    if (!result.success) throw new Error(`${data}\n${z.prettifyError(result.error)}`);
    const named = lines.find((line) => line.startsWith("event: "))?.slice(7);
    if (named !== undefined && named !== Reflect.get(Object(value), "type")) throw new Error(`event ${named} says ${data}`);
  }
}
