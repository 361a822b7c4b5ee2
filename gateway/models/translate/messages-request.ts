// Requests of Anthropic's messages, read and written: https://docs.anthropic.com/en/api/messages
import { inlineImage } from "./images.ts";
import {
  compact,
  isJson,
  type Json,
  jsonOf,
  listOf,
  optionalNumber,
  optionalText,
  parseJson,
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
  onlySampling,
  type Part,
  refuseVerbosity,
  type Target,
  type Tool,
  type ToolChoice,
  textOf,
  untranslatable,
} from "./neutral.ts";

const known = [
  ...["model", "messages", "system", "max_tokens", "stop_sequences", "stream", "temperature", "top_p", "top_k"],
  ...["tools", "tool_choice", "thinking", "output_config", "metadata"],
];
/** Hints that do not change the answer. */
const dropped = ["service_tier", "cache_control", "context_management", "inference_geo"];

export function readMessagesAsked(body: Json): Asked {
  refuseOthers(body, known, dropped);
  const choice = jsonOf(body.tool_choice);
  const stop = body.stop_sequences ? wantList(body.stop_sequences, "stop_sequences") : undefined;
  const system = body.system === undefined || body.system === null ? [] : readParts(body.system, "system");
  return {
    messages: [
      ...(system.length > 0 ? [{ role: "system" as const, parts: system }] : []),
      ...wantList(body.messages, "messages").map(readMessage),
    ],
    tools: body.tools ? wantList(body.tools, "tools").map(readTool) : [],
    toolChoice: body.tool_choice ? readToolChoice(choice) : undefined,
    parallelTools: choice.disable_parallel_tool_use === true ? false : undefined,
    format: readFormat(jsonOf(body.output_config).format),
    maxTokens: optionalNumber(body.max_tokens, "max_tokens"),
    effort: readEffort(body),
    user: optionalText(jsonOf(body.metadata).user_id, "metadata.user_id"),
    sampling: compact({
      temperature: body.temperature ?? undefined,
      top_p: body.top_p ?? undefined,
      top_k: body.top_k ?? undefined,
      stop: stop && stop.length > 0 ? stop : undefined,
    }),
    stream: body.stream === true,
    includeUsage: true,
  };
}

/** Thinking is bought in tokens here, and in words elsewhere: the nearest word. */
const budgets: readonly (readonly [Effort, number])[] = [
  ["low", 2048],
  ["medium", 8192],
  ["high", 24_576],
  ["xhigh", 49_152],
];

function readEffort(body: Json): Effort | undefined {
  const said = jsonOf(body.output_config).effort;
  const thinking = jsonOf(body.thinking);
  if (said === "max") return "xhigh";
  if (typeof said === "string") {
    const found = efforts.find((effort) => effort === said);
    if (found) return found;
    throw wrong("output_config.effort", "low, medium, high, xhigh or max");
  }
  if (thinking.type !== "enabled") return undefined;
  const budget = optionalNumber(thinking.budget_tokens, "thinking.budget_tokens") ?? 0;
  return budgets.find(([, tokens]) => budget <= tokens)?.[0] ?? "xhigh";
}

function readFormat(value: unknown): Format | undefined {
  if (value === undefined || value === null) return undefined;
  const format = wantJson(value, "output_config.format");
  if (format.type !== "json_schema") throw wrong("output_config.format.type", "json_schema");
  return { type: "schema", name: "answer", schema: wantJson(format.schema, "output_config.format.schema"), strict: true };
}

function readMessage(value: unknown, index: number): Message {
  const at = `messages[${index}]`;
  const message = wantJson(value, at);
  const { role } = message;
  if (role !== "user" && role !== "assistant" && role !== "system") throw wrong(`${at}.role`, "user or assistant");
  return { role, parts: readParts(message.content, `${at}.content`) };
}

function readParts(content: unknown, at: string): Part[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
  return wantList(content, at).flatMap((value, index): Part[] => {
    const place = `${at}[${index}]`;
    const block = wantJson(value, place);
    switch (block.type) {
      case "text":
        return [{ type: "text", text: wantText(block.text, `${place}.text`) }];
      case "image":
        return [readImage(wantJson(block.source, `${place}.source`), `${place}.source`)];
      case "thinking":
        return [
          {
            type: "reasoning",
            text: wantText(block.thinking, `${place}.thinking`),
            signature: optionalText(block.signature, `${place}.signature`),
          },
        ];
      // Readable by its own provider only: to all others it is silence.
      case "redacted_thinking":
        return [];
      case "tool_use":
        return [
          {
            type: "call",
            id: wantText(block.id, `${place}.id`),
            name: wantText(block.name, `${place}.name`),
            arguments: JSON.stringify(block.input ?? {}),
          },
        ];
      case "tool_result":
        return [
          {
            type: "result",
            id: wantText(block.tool_use_id, `${place}.tool_use_id`),
            parts: block.content === undefined || block.content === null ? [] : readParts(block.content, `${place}.content`),
            isError: block.is_error === true,
          },
        ];
      default:
        throw untranslatable(`${place}.type`, "cannot be translated for this model's provider");
    }
  });
}

function readImage(source: Json, at: string): Part {
  if (source.type === "url") return { type: "image", url: wantText(source.url, `${at}.url`), field: `${at}.url` };
  if (source.type !== "base64") throw untranslatable(`${at}.type`, "other than base64 and url cannot be translated");
  const mediaType = wantText(source.media_type, `${at}.media_type`);
  return { type: "image", url: `data:${mediaType};base64,${wantText(source.data, `${at}.data`)}`, field: `${at}.data` };
}

function readTool(value: unknown, index: number): Tool {
  const at = `tools[${index}]`;
  const tool = wantJson(value, at);
  if (tool.type !== undefined && tool.type !== null && tool.type !== "custom")
    throw untranslatable(`${at}.type`, "is a tool of Anthropic's own servers");
  return {
    name: wantText(tool.name, `${at}.name`),
    description: optionalText(tool.description, `${at}.description`),
    schema: wantJson(tool.input_schema, `${at}.input_schema`),
    strict: typeof tool.strict === "boolean" ? tool.strict : undefined,
  };
}

function readToolChoice(choice: Json): ToolChoice {
  if (choice.type === "auto" || choice.type === "none") return choice.type;
  if (choice.type === "any") return "required";
  if (choice.type === "tool") return { name: wantText(choice.name, "tool_choice.name") };
  throw wrong("tool_choice.type", "auto, any, tool or none");
}

/** The API asks for a limit; this is what every model of it can write. */
const defaultMaxTokens = 4096;

export function writeMessagesAsked(asked: Asked, target: Target): Json {
  onlySampling(asked, ["temperature", "top_p", "top_k", "stop"]);
  refuseVerbosity(asked);
  if (asked.format?.type === "json")
    throw untranslatable("response_format", "json_object is not known to this model's provider: give a json_schema");
  const system = textOfSystem(asked.messages);
  const thinking = thinkingBudget(asked);
  const limit = asked.maxTokens ?? target.maxTokens ?? defaultMaxTokens;
  return compact({
    model: target.model,
    // Thinking counts as output: the answer keeps the room that was asked for.
    max_tokens: thinking === undefined ? limit : Math.max(limit, thinking + (asked.maxTokens ?? defaultMaxTokens)),
    system: system === "" ? undefined : system,
    messages: joined(asked.messages.filter((message) => message.role !== "system")),
    tools:
      asked.tools.length > 0
        ? asked.tools.map(({ name, description, schema, strict }) =>
            compact({ name, description, input_schema: schema, strict: strict === true ? true : undefined }),
          )
        : undefined,
    tool_choice: asked.tools.length > 0 ? writeToolChoice(asked) : undefined,
    thinking:
      thinking === undefined
        ? undefined
        : byEffort.test(target.model)
          ? adaptive
          : { type: "enabled", budget_tokens: thinking },
    output_config: writeOutputConfig(asked, target),
    temperature: asked.sampling.temperature,
    top_p: asked.sampling.top_p,
    top_k: asked.sampling.top_k,
    stop_sequences: asked.sampling.stop,
    metadata: asked.user === undefined ? undefined : { user_id: asked.user },
    stream: asked.stream,
  });
}

/**
 * Newer models decide themselves how much they think, and are told how hard to try: a number of tokens is deprecated there
 * (ThinkingConfigAdaptive and OutputConfig in @anthropic-ai/sdk). Names: claude-opus-4-6, claude-sonnet-5, and those after them.
 */
const byEffort = /claude-(?:(?:mythos|fable)-|(?:opus|sonnet|haiku)-(?:4-[6-9](?!\d)|[5-9](?!\d)))/;
const adaptive: Json = { type: "adaptive" };

function writeOutputConfig({ format, effort }: Asked, { model }: Target): Json | undefined {
  const config = compact({
    effort: byEffort.test(model) && effort !== "none" ? (effort === "minimal" ? "low" : effort) : undefined,
    format: format?.type === "schema" ? { type: "json_schema", schema: format.schema } : undefined,
  });
  return Object.keys(config).length > 0 ? config : undefined;
}

const textOfSystem = (messages: readonly Message[]): string =>
  messages
    .filter((message) => message.role === "system")
    .map((message) => textOf(message.parts))
    .join("\n\n");

/**
 * The API refuses thinking beside a forced tool, and in a turn whose earlier tool calls come without their signed thoughts
 * (other APIs do not carry them).
 */
function thinkingBudget(asked: Asked): number | undefined {
  const { effort, toolChoice, messages } = asked;
  const budget = budgets.find(([name]) => name === effort)?.[1];
  if (budget === undefined || toolChoice === "required" || typeof toolChoice === "object") return undefined;
  const turn = messages.findLast((message) => message.role === "assistant");
  const last = messages.at(-1);
  const goesOn = last?.parts.some((part) => part.type === "result") ?? false;
  const signed = turn?.parts.some((part) => part.type === "reasoning" && part.signature !== undefined) ?? false;
  return goesOn && !signed ? undefined : budget;
}

function writeToolChoice({ toolChoice, parallelTools }: Asked): Json | undefined {
  if (toolChoice === undefined && parallelTools !== false) return undefined;
  const single = parallelTools === false ? { disable_parallel_tool_use: true } : {};
  if (typeof toolChoice === "object") return { type: "tool", name: toolChoice.name, ...single };
  if (toolChoice === "none") return { type: "none" };
  return { type: toolChoice === "required" ? "any" : "auto", ...single };
}

/** Neighbours of one role are one turn: results of parallel calls belong into one message. */
function joined(messages: readonly Message[]): Json[] {
  const turns: { role: string; content: Json[] }[] = [];
  for (const [index, message] of messages.entries()) {
    const content = message.parts.flatMap((part) => writePart(part, `messages[${index}]`));
    const last = turns.at(-1);
    if (last && last.role === message.role) last.content.push(...content);
    else if (content.length > 0) turns.push({ role: message.role, content });
  }
  return turns;
}

function writePart(part: Part, at: string): Json[] {
  switch (part.type) {
    case "text":
      return part.text === "" ? [] : [{ type: "text", text: part.text }];
    case "image": {
      const inline = inlineImage(part.url, part.field ?? at);
      const source = inline
        ? { type: "base64", media_type: inline.mediaType, data: inline.base64 }
        : { type: "url", url: part.url };
      return [{ type: "image", source }];
    }
    case "reasoning":
      return part.signature === undefined ? [] : [{ type: "thinking", thinking: part.text, signature: part.signature }];
    case "call": {
      const input = part.arguments === "" ? {} : parseJson(part.arguments);
      if (!isJson(input)) throw wrong(`${at}.tool_calls`, "calls whose arguments are a JSON object");
      return [{ type: "tool_use", id: part.id, name: part.name, input }];
    }
    case "result":
      return [
        compact({
          type: "tool_result",
          tool_use_id: part.id,
          content: listOf(part.parts.flatMap((inner) => writePart(inner, at))),
          is_error: part.isError ? true : undefined,
        }),
      ];
  }
}
