// Requests of Ollama's own API, written: https://github.com/ollama/ollama/blob/main/docs/api.md (ChatRequest and GenerateRequest of the npm package ollama)
import { inlineImage } from "../../translate/images.ts";
import { compact, isJson, type Json, parseJson, wrong } from "../../translate/json.ts";
import {
  type Asked,
  type Message,
  type Part,
  refuseVerbosity,
  type Target,
  type Tool,
  textOf,
  untranslatable,
} from "../../translate/neutral.ts";

/** POST /api/chat */
export function writeOllamaChat(asked: Asked, target: Target): Json {
  const tools = toolsOf(asked);
  const names = callNames(asked.messages);
  return compact({
    ...settings(asked, target),
    messages: asked.messages.flatMap((message) => writeMessage(message, names)),
    tools: tools.length > 0 ? tools.map(writeTool) : undefined,
  });
}

/** POST /api/generate: one text that is gone on with. */
export function writeOllamaGenerate(asked: Asked, target: Target): Json {
  const parts = asked.messages.flatMap((message) => message.parts);
  return compact({ ...settings(asked, target), prompt: textOf(parts), suffix: asked.suffix });
}

function settings(asked: Asked, target: Target): Json {
  refuseVerbosity(asked);
  const { format, sampling } = asked;
  const options = compact({ ...sampling, num_predict: asked.maxTokens });
  return {
    model: target.model,
    format: format && (format.type === "json" ? "json" : format.schema),
    think: writeThink(asked, target),
    options: Object.keys(options).length > 0 ? options : undefined,
    // Ollama streams unless it is told not to.
    stream: asked.stream,
  };
}

/** Most models think or do not; gpt-oss alone knows how much. */
function writeThink({ effort }: Asked, { model }: Target): boolean | string | undefined {
  if (effort === undefined) return undefined;
  if (!/gpt-?oss/i.test(model)) return effort !== "none";
  return effort === "none" || effort === "minimal" ? "low" : effort === "xhigh" ? "high" : effort;
}

/** Ollama leaves the choice of tools to the model. */
function toolsOf({ tools, toolChoice, parallelTools }: Asked): readonly Tool[] {
  if (toolChoice === "none") return [];
  if (toolChoice === "required" || typeof toolChoice === "object")
    throw untranslatable("tool_choice", "other than auto and none is not known to this model's provider");
  if (parallelTools === false && tools.length > 0)
    throw untranslatable("parallel_tool_calls", "cannot be turned off at this model's provider");
  return tools;
}

const writeTool = ({ name, description, schema }: Tool): Json => ({
  type: "function",
  function: compact({ name, description, parameters: schema }),
});

/** A tool's result is told with the tool's name here, and with the id of its call elsewhere. */
function callNames(messages: readonly Message[]): ReadonlyMap<string, string> {
  return new Map(
    messages.flatMap(({ parts }) =>
      parts.flatMap((part): [string, string][] => (part.type === "call" ? [[part.id, part.name]] : [])),
    ),
  );
}

function writeMessage({ role, parts }: Message, names: ReadonlyMap<string, string>): Json[] {
  const messages: Json[] = [];
  const rest: Part[] = [];
  for (const part of parts) {
    if (part.type !== "result") {
      rest.push(part);
      continue;
    }
    messages.push(compact({ role: "tool", tool_name: names.get(part.id), tool_call_id: part.id, content: textOf(part.parts) }));
    // A tool's message holds text only: its images follow as the user's.
    rest.push(...part.parts.filter((inner) => inner.type === "image"));
  }
  if (rest.length === 0 && messages.length > 0) return messages;
  const calls = rest.flatMap((part) => (part.type === "call" ? [writeCall(part)] : []));
  const images = rest.flatMap((part) => (part.type === "image" ? [writeImage(part)] : []));
  const thinking = textOf(rest, "reasoning");
  messages.push(
    compact({
      role,
      content: textOf(rest),
      thinking: thinking === "" ? undefined : thinking,
      images: images.length > 0 ? images : undefined,
      tool_calls: calls.length > 0 ? calls : undefined,
    }),
  );
  return messages;
}

function writeCall(call: Part & { type: "call" }): Json {
  const input = call.arguments === "" ? {} : parseJson(call.arguments);
  if (!isJson(input)) throw wrong("messages", `calls whose arguments are a JSON object (${call.id.slice(0, 100)} has others)`);
  return { id: call.id, function: { name: call.name, arguments: input } };
}

function writeImage(image: Part & { type: "image" }): string {
  const field = image.field ?? "messages";
  const inline = inlineImage(image.url, field);
  if (inline) return inline.base64;
  throw untranslatable(field, "is an address, and this model's provider takes images only as data URLs with base64");
}
