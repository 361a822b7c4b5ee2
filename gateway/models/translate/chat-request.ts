// Requests of OpenAI's chat completions, read and written: https://platform.openai.com/docs/api-reference/chat/create
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
  type Effort,
  efforts,
  type Format,
  type Message,
  type Part,
  type SamplingField,
  samplingFields,
  type Target,
  type Tool,
  type ToolChoice,
  textOf,
  untranslatable,
  type Verbosity,
  verbosities,
} from "./neutral.ts";

const known = [
  ...["model", "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "max_tokens"],
  ...["max_completion_tokens", "reasoning_effort", "verbosity", "user", "stream", "stream_options", ...samplingFields],
];
const dropped = [
  ...["metadata", "store", "service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier"],
  ...["prediction", "prompt_cache_options"],
];
const neutral = { n: 1, logprobs: false, top_logprobs: 0, logit_bias: {}, modalities: ["text"] };

export function readChatAsked(body: Json): Asked {
  refuseOthers(body, known, dropped, neutral);
  return {
    messages: wantList(body.messages, "messages").map(readMessage),
    tools: body.tools ? wantList(body.tools, "tools").map(readTool) : [],
    toolChoice: readToolChoice(body.tool_choice),
    parallelTools: optionalFlag(body.parallel_tool_calls, "parallel_tool_calls"),
    format: readFormat(body.response_format),
    maxTokens:
      optionalNumber(body.max_completion_tokens, "max_completion_tokens") ?? optionalNumber(body.max_tokens, "max_tokens"),
    effort: readEffort(body.reasoning_effort, "reasoning_effort"),
    verbosity: readVerbosity(body.verbosity, "verbosity"),
    user: optionalText(body.user, "user"),
    sampling: readSampling(body),
    stream: body.stream === true,
    includeUsage: jsonOf(body.stream_options).include_usage === true,
  };
}

export function readSampling(body: Json): Asked["sampling"] {
  const found: { [field in SamplingField]?: unknown } = {};
  for (const field of samplingFields) {
    const value = body[field];
    if (value === undefined || value === null || (field.endsWith("_penalty") && value === 0)) continue;
    found[field] = field === "stop" && typeof value === "string" ? [value] : value;
  }
  return found;
}

export function readEffort(value: unknown, field: string): Effort | undefined {
  if (value === undefined || value === null) return undefined;
  const found = efforts.find((effort) => effort === value);
  if (found) return found;
  throw wrong(field, `one of ${efforts.join(", ")}`);
}

export function readVerbosity(value: unknown, field: string): Verbosity | undefined {
  if (value === undefined || value === null) return undefined;
  const found = verbosities.find((one) => one === value);
  if (found) return found;
  throw wrong(field, `one of ${verbosities.join(", ")}`);
}

function readMessage(value: unknown, index: number): Message {
  const at = `messages[${index}]`;
  const message = wantJson(value, at);
  const { role } = message;
  if (role === "system" || role === "developer") return { role: "system", parts: readParts(message.content, at) };
  if (role === "user") return { role, parts: readParts(message.content, at) };
  if (role === "tool") {
    const id = wantText(message.tool_call_id, `${at}.tool_call_id`);
    return { role: "user", parts: [{ type: "result", id, parts: readParts(message.content, at) }] };
  }
  if (role !== "assistant") throw wrong(`${at}.role`, "system, developer, user, assistant or tool");
  for (const field of ["function_call", "audio"])
    if (message[field]) throw untranslatable(`${at}.${field}`, "cannot be translated for this model's provider");
  const reasoning = message.reasoning_content ?? message.reasoning;
  const calls = message.tool_calls ? wantList(message.tool_calls, `${at}.tool_calls`) : [];
  return {
    role,
    parts: [
      ...(typeof reasoning === "string" && reasoning !== "" ? [{ type: "reasoning" as const, text: reasoning }] : []),
      ...(message.content === null || message.content === undefined ? [] : readParts(message.content, at)),
      ...calls.map((call, place): Part => readCall(call, `${at}.tool_calls[${place}]`)),
    ],
  };
}

function readCall(value: unknown, at: string): Part {
  const call = wantJson(value, at);
  const fn = wantJson(call.function, `${at}.function`);
  return {
    type: "call",
    id: wantText(call.id, `${at}.id`),
    name: wantText(fn.name, `${at}.function.name`),
    arguments: wantText(fn.arguments, `${at}.function.arguments`),
  };
}

function readParts(content: unknown, at: string): Part[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
  return wantList(content, `${at}.content`).map((value, index): Part => {
    const place = `${at}.content[${index}]`;
    const part = wantJson(value, place);
    if (part.type === "text") return { type: "text", text: wantText(part.text, `${place}.text`) };
    if (part.type === "refusal") return { type: "text", text: wantText(part.refusal, `${place}.refusal`) };
    if (part.type !== "image_url") throw untranslatable(`${place}.type`, "cannot be translated for this model's provider");
    const image = wantJson(part.image_url, `${place}.image_url`);
    return {
      type: "image",
      url: wantText(image.url, `${place}.image_url.url`),
      field: `${place}.image_url.url`,
      detail: optionalText(image.detail, `${place}.image_url.detail`),
    };
  });
}

function readTool(value: unknown, index: number): Tool {
  const at = `tools[${index}]`;
  const tool = wantJson(value, at);
  if (tool.type !== "function") throw untranslatable(`${at}.type`, "other than function is not known to this model's provider");
  const fn = wantJson(tool.function, `${at}.function`);
  return {
    name: wantText(fn.name, `${at}.function.name`),
    description: optionalText(fn.description, `${at}.function.description`),
    schema: isJson(fn.parameters) ? fn.parameters : { type: "object", properties: {} },
    strict: optionalFlag(fn.strict, `${at}.function.strict`),
  };
}

function readToolChoice(value: unknown): ToolChoice | undefined {
  if (value === undefined || value === null) return undefined;
  if (value === "auto" || value === "none" || value === "required") return value;
  const choice = wantJson(value, "tool_choice");
  if (choice.type !== "function") throw untranslatable("tool_choice.type", "other than function cannot be translated");
  return { name: wantText(jsonOf(choice.function).name, "tool_choice.function.name") };
}

function readFormat(value: unknown): Format | undefined {
  if (value === undefined || value === null) return undefined;
  const format = wantJson(value, "response_format");
  if (format.type === "text") return undefined;
  if (format.type === "json_object") return { type: "json" };
  if (format.type !== "json_schema") throw wrong("response_format.type", "text, json_object or json_schema");
  return readSchemaFormat(wantJson(format.json_schema, "response_format.json_schema"), "response_format.json_schema");
}

export function readSchemaFormat(value: Json, at: string): Format {
  return {
    type: "schema",
    name: optionalText(value.name, `${at}.name`) ?? "answer",
    schema: wantJson(value.schema, `${at}.schema`),
    description: optionalText(value.description, `${at}.description`),
    strict: optionalFlag(value.strict, `${at}.strict`),
  };
}

export function writeChatAsked(asked: Asked, target: Target): Json {
  const { toolChoice, format } = asked;
  return compact({
    model: target.model,
    messages: asked.messages.flatMap(writeMessage),
    tools: asked.tools.length > 0 ? asked.tools.map(writeTool) : undefined,
    tool_choice: typeof toolChoice === "object" ? { type: "function", function: { name: toolChoice.name } } : toolChoice,
    parallel_tool_calls: asked.parallelTools,
    response_format:
      format === undefined
        ? undefined
        : format.type === "json"
          ? { type: "json_object" }
          : {
              type: "json_schema",
              json_schema: compact({
                name: format.name,
                description: format.description,
                schema: format.schema,
                strict: format.strict,
              }),
            },
    // The name that every server knows; OpenAI's newest models alone ask for max_completion_tokens.
    ...(/^(o\d|gpt-5)/.test(target.model) ? { max_completion_tokens: asked.maxTokens } : { max_tokens: asked.maxTokens }),
    reasoning_effort: asked.effort,
    verbosity: asked.verbosity,
    user: asked.user,
    ...asked.sampling,
    stream: asked.stream,
    stream_options: asked.stream ? { include_usage: true } : undefined,
  });
}

function writeTool(tool: Tool): Json {
  const { name, description, schema, strict } = tool;
  return { type: "function", function: compact({ name, description, parameters: schema, strict }) };
}

function writeMessage(message: Message): Json[] {
  if (message.role === "system") return [{ role: "system", content: textOf(message.parts) }];
  if (message.role === "assistant") {
    const calls = message.parts.flatMap((part) =>
      part.type === "call" ? [{ id: part.id, type: "function", function: { name: part.name, arguments: part.arguments } }] : [],
    );
    const text = textOf(message.parts);
    return [
      compact({
        role: "assistant",
        content: text === "" && calls.length > 0 ? null : text,
        tool_calls: calls.length > 0 ? calls : undefined,
      }),
    ];
  }
  const results: Json[] = [];
  const rest: Part[] = [];
  for (const part of message.parts) {
    if (part.type !== "result") {
      rest.push(part);
      continue;
    }
    // A tool message holds text only: its images follow as the user's.
    results.push({ role: "tool", tool_call_id: part.id, content: textOf(part.parts) });
    rest.push(...part.parts.filter((inner) => inner.type === "image"));
  }
  return rest.length > 0 || results.length === 0 ? [...results, { role: "user", content: writeContent(rest) }] : results;
}

function writeContent(parts: readonly Part[]): unknown {
  if (parts.every((part) => part.type === "text")) return textOf(parts);
  return parts.flatMap((part): Json[] => {
    if (part.type === "text") return [{ type: "text", text: part.text }];
    return part.type === "image" ? [{ type: "image_url", image_url: compact({ url: part.url, detail: part.detail }) }] : [];
  });
}
