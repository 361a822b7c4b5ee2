// Requests of OpenAI's responses, read and written: https://platform.openai.com/docs/api-reference/responses/create
import { readEffort, readSampling, readSchemaFormat, readVerbosity } from "./chat-request.ts";
import {
  compact,
  isJson,
  type Json,
  jsonOf,
  optionalFlag,
  optionalNumber,
  optionalText,
  refuseOthers,
  wantJson,
  wantList,
  wantText,
  wrong,
} from "./json.ts";
import {
  type Asked,
  type Format,
  type Message,
  onlySampling,
  type Part,
  type Target,
  type Tool,
  type ToolChoice,
  textOf,
  untranslatable,
} from "./neutral.ts";

const known = [
  ...["model", "input", "instructions", "max_output_tokens", "parallel_tool_calls", "reasoning", "stream", "temperature"],
  ...["text", "tool_choice", "tools", "top_p", "user"],
];
const dropped = [
  ...["metadata", "store", "service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier"],
  ...["stream_options", "include"],
];
const neutral = { background: false, top_logprobs: 0, truncation: "disabled" };

export function readResponsesAsked(body: Json): Asked {
  // Every request of a client that the gateway translates stands for itself: there is no conversation to go back to.
  refuseOthers(body, known, dropped, neutral);
  const instructions = optionalText(body.instructions, "instructions");
  const text = jsonOf(body.text);
  return {
    messages: [
      ...(instructions ? [{ role: "system" as const, parts: [{ type: "text" as const, text: instructions }] }] : []),
      ...readInput(body.input),
    ],
    tools: body.tools ? wantList(body.tools, "tools").map(readTool) : [],
    toolChoice: readToolChoice(body.tool_choice),
    parallelTools: optionalFlag(body.parallel_tool_calls, "parallel_tool_calls"),
    format: readFormat(text.format),
    maxTokens: optionalNumber(body.max_output_tokens, "max_output_tokens"),
    effort: readEffort(jsonOf(body.reasoning).effort, "reasoning.effort"),
    verbosity: readVerbosity(text.verbosity, "text.verbosity"),
    user: optionalText(body.user, "user"),
    sampling: readSampling(body),
    stream: body.stream === true,
    includeUsage: true,
  };
}

/** Items of one role that follow one another are one message. */
function readInput(input: unknown): Message[] {
  if (typeof input === "string") return [{ role: "user", parts: [{ type: "text", text: input }] }];
  const messages: { role: Message["role"]; parts: Part[] }[] = [];
  for (const [index, value] of wantList(input, "input").entries()) {
    const read = readItem(wantJson(value, `input[${index}]`), `input[${index}]`);
    const last = messages.at(-1);
    if (last && last.role === read.role && read.role === "assistant") last.parts.push(...read.parts);
    else messages.push({ role: read.role, parts: [...read.parts] });
  }
  return messages.filter((message) => message.parts.length > 0);
}

function readItem(item: Json, at: string): Message {
  switch (item.type) {
    case undefined:
    case "message": {
      const role = item.role === "developer" ? "system" : item.role;
      if (role !== "user" && role !== "assistant" && role !== "system")
        throw wrong(`${at}.role`, "user, assistant, system or developer");
      return { role, parts: readContent(item.content, `${at}.content`) };
    }
    case "function_call":
      return {
        role: "assistant",
        parts: [
          {
            type: "call",
            id: wantText(item.call_id, `${at}.call_id`),
            name: wantText(item.name, `${at}.name`),
            arguments: wantText(item.arguments, `${at}.arguments`),
          },
        ],
      };
    case "function_call_output": {
      const id = wantText(item.call_id, `${at}.call_id`);
      return { role: "user", parts: [{ type: "result", id, parts: readContent(item.output, `${at}.output`) }] };
    }
    // Thoughts of an earlier turn: only the provider that had them can read them.
    case "reasoning":
      return { role: "assistant", parts: [] };
    default:
      throw untranslatable(`${at}.type`, "cannot be translated for this model's provider");
  }
}

function readContent(content: unknown, at: string): Part[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
  return wantList(content, at).map((value, index): Part => {
    const place = `${at}[${index}]`;
    const part = wantJson(value, place);
    if (part.type === "input_text" || part.type === "output_text")
      return { type: "text", text: wantText(part.text, `${place}.text`) };
    if (part.type === "refusal") return { type: "text", text: wantText(part.refusal, `${place}.refusal`) };
    if (part.type !== "input_image") throw untranslatable(`${place}.type`, "cannot be translated for this model's provider");
    return {
      type: "image",
      url: wantText(part.image_url, `${place}.image_url`),
      field: `${place}.image_url`,
      detail: optionalText(part.detail, `${place}.detail`),
    };
  });
}

function readTool(value: unknown, index: number): Tool {
  const at = `tools[${index}]`;
  const tool = wantJson(value, at);
  if (tool.type !== "function") throw untranslatable(`${at}.type`, "other than function is not known to this model's provider");
  return {
    name: wantText(tool.name, `${at}.name`),
    description: optionalText(tool.description, `${at}.description`),
    schema: isJson(tool.parameters) ? tool.parameters : { type: "object", properties: {} },
    strict: optionalFlag(tool.strict, `${at}.strict`),
  };
}

function readToolChoice(value: unknown): ToolChoice | undefined {
  if (value === undefined || value === null) return undefined;
  if (value === "auto" || value === "none" || value === "required") return value;
  const choice = wantJson(value, "tool_choice");
  if (choice.type !== "function") throw untranslatable("tool_choice.type", "other than function cannot be translated");
  return { name: wantText(choice.name, "tool_choice.name") };
}

function readFormat(value: unknown): Format | undefined {
  if (value === undefined || value === null) return undefined;
  const format = wantJson(value, "text.format");
  if (format.type === "text") return undefined;
  if (format.type === "json_object") return { type: "json" };
  if (format.type !== "json_schema") throw wrong("text.format.type", "text, json_object or json_schema");
  return readSchemaFormat(format, "text.format");
}

export function writeResponsesAsked(asked: Asked, target: Target): Json {
  onlySampling(asked, ["temperature", "top_p"]);
  const { toolChoice, format } = asked;
  const instructions = asked.messages.flatMap((message) => (message.role === "system" ? [textOf(message.parts)] : []));
  return compact({
    model: target.model,
    instructions: instructions.length > 0 ? instructions.join("\n\n") : undefined,
    input: asked.messages.flatMap((message) => (message.role === "system" ? [] : writeMessage(message))),
    tools:
      asked.tools.length > 0
        ? asked.tools.map(({ name, description, schema, strict }) =>
            compact({ type: "function", name, description, parameters: schema, strict: strict ?? false }),
          )
        : undefined,
    tool_choice: typeof toolChoice === "object" ? { type: "function", name: toolChoice.name } : toolChoice,
    parallel_tool_calls: asked.parallelTools,
    text:
      format === undefined && asked.verbosity === undefined
        ? undefined
        : compact({ format: format && writeFormat(format), verbosity: asked.verbosity }),
    max_output_tokens: asked.maxTokens,
    reasoning: asked.effort === undefined ? undefined : { effort: asked.effort, summary: "auto" },
    user: asked.user,
    temperature: asked.sampling.temperature,
    top_p: asked.sampling.top_p,
    // The client does not know of the copy that the provider would keep.
    store: false,
    stream: asked.stream,
  });
}

function writeFormat(format: Format): Json {
  if (format.type === "json") return { type: "json_object" };
  const { name, description, schema, strict } = format;
  return compact({ type: "json_schema", name, description, schema, strict });
}

function writeMessage({ role, parts }: Message): Json[] {
  const items: Json[] = [];
  let content: Json[] = [];
  const flush = (): void => {
    if (content.length > 0) items.push({ type: "message", role, content });
    content = [];
  };
  for (const part of parts) {
    if (part.type === "call") {
      flush();
      items.push({ type: "function_call", call_id: part.id, name: part.name, arguments: part.arguments });
    } else if (part.type === "result") {
      flush();
      const plain = part.parts.every((inner) => inner.type === "text");
      const output = plain ? textOf(part.parts) : part.parts.flatMap((inner) => writeContent(inner, role));
      items.push({ type: "function_call_output", call_id: part.id, output });
    } else content.push(...writeContent(part, role));
  }
  flush();
  return items;
}

function writeContent(part: Part, role: Message["role"]): Json[] {
  if (part.type === "text") return [{ type: role === "assistant" ? "output_text" : "input_text", text: part.text }];
  return part.type === "image" ? [{ type: "input_image", image_url: part.url, detail: part.detail ?? "auto" }] : [];
}
