/** The provider kinds as the conformance suite sees them: what an upstream is asked, read in plain terms. */
import type { ConfigInput } from "../../gateway/config/schema.ts";
import { token } from "./gateway.ts";
import { type Json, json, list, text } from "./loose-json.ts";

export { type ClientName, clientApis } from "./client-apis.ts";

interface Kind {
  /** What baseUrl ends with, and the path that calls arrive at. */
  base: string;
  path: string;
  /** The client API that passes as bytes. */
  native?: string;
  error(message: string): object;
  /** The request that the upstream got, in plain terms. */
  heard(body: Json): Json;
}

const base64 = (url: string): string => url.slice(url.indexOf(",") + 1);
const textsOf = (content: unknown): string[] =>
  typeof content === "string" ? [content] : list(content).flatMap((part) => (typeof part.text === "string" ? [part.text] : []));

export const kinds: Record<string, Kind> = {
  "openai-completions": {
    base: "/v1",
    path: "/v1/chat/completions",
    native: "chat-completions",
    error: (message) => ({ error: { message, type: "invalid_request_error", code: null, param: null } }),
    heard(body) {
      const all = list(body.messages);
      const users = all.filter((message) => message.role === "user");
      const [call] = all.flatMap((message) => list(message.tool_calls));
      const [picture] = users.flatMap((message) => list(message.content)).filter((part) => part.type === "image_url");
      return {
        model: body.model,
        system: textsOf(all.find((message) => message.role === "system")?.content).join(""),
        texts: users.flatMap((message) => textsOf(message.content)),
        image: base64(text(json(picture?.image_url).url)),
        tool: json(list(body.tools)[0]?.function).name,
        call: JSON.parse(text(json(call?.function).arguments)),
        result: textsOf(all.find((message) => message.role === "tool")?.content).join(""),
        schema: Object.keys(json(json(json(json(body.response_format).json_schema).schema).properties))[0],
        maxTokens: body.max_tokens,
        temperature: body.temperature,
      };
    },
  },
  "anthropic-messages": {
    base: "",
    path: "/v1/messages",
    native: "messages",
    error: (message) => ({ type: "error", error: { type: "invalid_request_error", message } }),
    heard(body) {
      const blocks = list(body.messages).flatMap((message) => list(message.content));
      return {
        model: body.model,
        system: textsOf(body.system).join(""),
        texts: blocks.flatMap((block) => (block.type === "text" ? [text(block.text)] : [])),
        image: json(blocks.find((block) => block.type === "image")?.source).data,
        tool: list(body.tools)[0]?.name,
        call: blocks.find((block) => block.type === "tool_use")?.input,
        result: textsOf(blocks.find((block) => block.type === "tool_result")?.content).join(""),
        schema: Object.keys(json(json(json(json(body.output_config).format).schema).properties))[0],
        maxTokens: body.max_tokens,
        temperature: body.temperature,
      };
    },
  },
  "openai-responses": {
    base: "/v1",
    path: "/v1/responses",
    native: "responses",
    error: (message) => ({ error: { message, type: "invalid_request_error", code: null, param: null } }),
    heard(body) {
      const items = list(body.input);
      const users = items.filter((item) => item.role === "user");
      const picture = users.flatMap((item) => list(item.content)).find((part) => part.type === "input_image");
      return {
        model: body.model,
        system: body.instructions,
        texts: users.flatMap((item) => textsOf(item.content)),
        image: base64(text(picture?.image_url)),
        tool: list(body.tools)[0]?.name,
        call: JSON.parse(text(items.find((item) => item.type === "function_call")?.arguments)),
        result: textsOf(items.find((item) => item.type === "function_call_output")?.output).join(""),
        schema: Object.keys(json(json(json(json(body.text).format).schema).properties))[0],
        maxTokens: body.max_output_tokens,
        temperature: body.temperature,
      };
    },
  },
  ollama: {
    base: "",
    path: "/api/chat",
    error: (message) => ({ error: message }),
    heard(body) {
      const all = list(body.messages);
      const users = all.filter((message) => message.role === "user");
      const [call] = all.flatMap((message) => list(message.tool_calls));
      const result = all.find((message) => message.role === "tool");
      if (result?.tool_name !== "weather") throw new Error("the tool's result does not name its tool");
      return {
        model: body.model,
        system: textsOf(all.find((message) => message.role === "system")?.content).join(""),
        texts: users.flatMap((message) => textsOf(message.content)),
        image: users.flatMap((message) => (Array.isArray(message.images) ? message.images : []))[0],
        tool: json(list(body.tools)[0]?.function).name,
        call: json(call?.function).arguments,
        result: textsOf(result.content).join(""),
        schema: Object.keys(json(json(body.format).properties))[0],
        maxTokens: json(body.options).num_predict,
        temperature: json(body.options).temperature,
      };
    },
  },
};

/** A provider of each kind, named like it, at one fake upstream: "m" reads images, "blind" does not. */
export function everyKind(port: number): ConfigInput {
  const providers: NonNullable<NonNullable<ConfigInput["models"]>["providers"]> = {};
  for (const [api, { base }] of Object.entries(kinds))
    Object.assign(providers, {
      [api]: {
        api,
        baseUrl: `http://127.0.0.1:${port}${base}`,
        apiKey: "upstream-key",
        models: [{ id: "m", input: ["text", "image"] }, { id: "blind", input: ["text"] }, { id: "claude-opus-4-7" }],
      },
    });
  return { gateway: { auth: { token } }, models: { providers } };
}
