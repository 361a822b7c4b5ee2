// What a documented stream is, and what its fixtures have in common.

export interface Fixture {
  kind: "openai-completions" | "openai-responses" | "anthropic-messages" | "ollama";
  name: string;
  /** Where the shape is published. */
  source: string;
  type: string;
  stream: string;
  expected: Expected;
}

export interface Expected {
  text: string;
  reasoning: string;
  calls: { name: string; arguments: unknown }[];
  finish: string;
  usage: { input: number; output: number };
  /** The stream ends in a failure that says this. */
  failure?: RegExp;
}

export const said = (more: Partial<Expected>): Expected => ({
  text: "",
  reasoning: "",
  calls: [],
  finish: "stop",
  usage: { input: 0, output: 0 },
  ...more,
});
export const sse = "text/event-stream";
export const weather = (city: string) => ({ name: "get_weather", arguments: { city } });

/** `event:` lines come from the data's own type. */
export const typed = (events: object[]): string =>
  events.map((event) => `event: ${Reflect.get(event, "type")}\ndata: ${JSON.stringify(event)}\n\n`).join("");
export const plain = (events: object[]): string =>
  `${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")}data: [DONE]\n\n`;
