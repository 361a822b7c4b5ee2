// Makes requests that no client should send, from a seed: the same seed makes the same requests.

export type Random = () => number;

/** mulberry32: small, and the same everywhere. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const pick = <T>(random: Random, list: readonly [T, ...T[]]): T => list[Math.floor(random() * list.length)] ?? list[0];

/** Values of every wrong type and size. */
const odd: readonly [() => unknown, ...(() => unknown)[]] = [
  () => null,
  () => true,
  () => -1,
  () => 0,
  () => 1e308,
  () => Number.MAX_SAFE_INTEGER * 4,
  () => 0.1,
  () => "",
  () => "x".repeat(5000),
  () => "\u0000\u001f\u2028\u2029\ufeff",
  () => "\ud800",
  () => "👩‍👩‍👧‍👦 שלום ‮ abc",
  () => "__proto__",
  () => "data: [DONE]\n\n",
  () => "\r\nx-injected: 1",
  () => [],
  () => [[]],
  () => [null],
  () => {
    const list: unknown[] = [];
    for (let at = 0; at < 200; at += 1) list.push({ role: "user", content: at });
    return list;
  },
  () => ({}),
  () => ({ toString: 1, constructor: null }),
  () => JSON.parse('{"__proto__":{"polluted":true}}'),
  () => nested(60, "list"),
  () => nested(60, "object"),
];

function nested(depth: number, kind: "list" | "object"): unknown {
  let value: unknown = "deep";
  for (let level = 0; level < depth; level += 1) value = kind === "list" ? [value] : { content: value };
  return value;
}

const text = (role: string) => ({ role, content: "hi" });
const call = { id: "call_1", type: "function", function: { name: "f", arguments: "{}" } };

/** A whole request with much of what each API knows, to be spoilt at one or more places. */
export const bodies: Readonly<Record<string, Record<string, unknown>>> = {
  "/v1/chat/completions": {
    messages: [
      text("system"),
      {
        role: "user",
        content: [
          { type: "text", text: "see" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
        ],
      },
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "call_1", content: "done" },
    ],
    tools: [{ type: "function", function: { name: "f", description: "d", parameters: { type: "object", properties: {} } } }],
    tool_choice: "auto",
    response_format: { type: "json_schema", json_schema: { name: "s", schema: { type: "object" }, strict: true } },
    temperature: 1,
    top_p: 1,
    max_tokens: 10,
    max_completion_tokens: 10,
    stop: ["x"],
    stream_options: { include_usage: true },
    reasoning_effort: "low",
    n: 1,
    seed: 1,
    user: "u",
  },
  "/v1/responses": {
    input: [
      { type: "message", role: "user", content: [{ type: "input_text", text: "hi" }] },
      { type: "function_call", call_id: "c", name: "f", arguments: "{}" },
      { type: "function_call_output", call_id: "c", output: "done" },
    ],
    instructions: "be short",
    tools: [{ type: "function", name: "f", parameters: { type: "object" }, strict: false }],
    tool_choice: "auto",
    text: { format: { type: "text" } },
    reasoning: { effort: "low" },
    max_output_tokens: 10,
    temperature: 1,
    store: false,
    metadata: {},
  },
  "/v1/messages": {
    max_tokens: 10,
    system: [{ type: "text", text: "s", cache_control: { type: "ephemeral" } }],
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "hi" },
          { type: "image", source: { type: "base64", media_type: "image/png", data: "AA==" } },
        ],
      },
      { role: "assistant", content: [{ type: "tool_use", id: "t", name: "f", input: {} }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: "done" }] },
    ],
    tools: [{ name: "f", description: "d", input_schema: { type: "object" } }],
    tool_choice: { type: "auto" },
    thinking: { type: "enabled", budget_tokens: 1024 },
    stop_sequences: ["x"],
    temperature: 1,
    metadata: { user_id: "u" },
  },
  "/v1/messages/count_tokens": { messages: [text("user")], system: "s", tools: [] },
  "/v1/embeddings": { input: ["a", "b"], encoding_format: "float", dimensions: 3 },
  "/v1/completions": { prompt: "hi", max_tokens: 5, stop: null, echo: false, suffix: "x" },
  "/v1/rerank": { query: "q", documents: ["a", "b"], top_n: 1 },
};

/** The body with so many of its values, at any depth, replaced by something else. */
export function spoil(random: Random, body: Record<string, unknown>, count: number): Record<string, unknown> {
  const copy: Record<string, unknown> = structuredClone(body);
  for (let time = 0; time < count; time += 1) {
    const places: [object, string][] = [];
    collect(copy, places, 0);
    const place = places[Math.floor(random() * places.length)];
    if (!place) break;
    const [holder, name] = place;
    if (random() < 0.15) Reflect.deleteProperty(holder, name);
    else Reflect.set(holder, name, pick(random, odd)());
  }
  return copy;
}

function collect(node: unknown, places: [object, string][], depth: number): void {
  if (typeof node !== "object" || node === null || depth > 8) return;
  for (const [name, value] of Object.entries(node)) {
    places.push([node, name]);
    collect(value, places, depth + 1);
  }
}

/** Bytes that are not the JSON that they seem to be. */
export function breakJson(random: Random, json: string): Buffer {
  const at = Math.floor(random() * json.length);
  const ways: readonly [() => Buffer, ...(() => Buffer)[]] = [
    () => Buffer.from(json.slice(0, at)),
    () => Buffer.from(`${json.slice(0, at)}\u0000${json.slice(at)}`),
    () => Buffer.concat([Buffer.from(json.slice(0, at)), Buffer.from([0xff, 0xfe, 0xc3]), Buffer.from(json.slice(at))]),
    () => Buffer.from(json, "utf16le"),
    () => Buffer.from(`\ufeff${json}`),
    () => Buffer.from(json.replace(":", "=")),
    () => Buffer.from(`${json}${json}`),
    () => Buffer.from(`[${json}]`),
    () => Buffer.from(`${"[".repeat(20_000)}${"]".repeat(20_000)}`),
    () => Buffer.from(`{"model":${'{"a":'.repeat(5000)}1${"}".repeat(5000)}}`),
    () => Buffer.from(`{"model":"x","model":null,${json.slice(1)}`),
    () => Buffer.from(json.replace('"model"', '"\\u006dodel"')),
    () => Buffer.from(json.replace(/"max_tokens":\d+/, '"max_tokens":1e999999')),
    () => Buffer.from(""),
    () => Buffer.from("null"),
    () => Buffer.from('"text"'),
    () => Buffer.from("12"),
    () => Buffer.from(Array.from({ length: 300 }, () => Math.floor(random() * 256))),
  ];
  return pick(random, ways)();
}
