/** A paid key in the environment is used only when its owner says so, on a terminal. */
import { createInterface } from "node:readline/promises";
import { chooseProvider, type StackFile } from "./stack-file.ts";

const paid = [
  {
    variable: "OPENAI_API_KEY",
    id: "openai",
    name: "OpenAI",
    baseUrl: "https://api.openai.com/v1",
    models: ["gpt-5-mini", "gpt-5"],
  },
  {
    variable: "OPENROUTER_API_KEY",
    id: "openrouter",
    name: "OpenRouter",
    baseUrl: "https://openrouter.ai/api/v1",
    models: ["openrouter/auto"],
  },
  {
    variable: "DEEPSEEK_API_KEY",
    id: "deepseek",
    name: "DeepSeek",
    baseUrl: "https://api.deepseek.com/v1",
    models: ["deepseek-chat"],
  },
];

export interface AgreedKey {
  /** For people. */
  shown: string;
  /** The setting that will hold it, encrypted. */
  setting: string;
  key: string;
}

/** Undefined where there is no key, no terminal, or no consent. */
export async function offerPaidKey(file: StackFile): Promise<AgreedKey | undefined> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  for (const service of paid) {
    const key = process.env[service.variable];
    if (!key) continue;
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    // Ctrl-C is for the whole command, not an answer; nothing has been written yet.
    terminal.on("SIGINT", () => process.exit(130));
    const answer = await terminal.question(
      `  ${service.variable} is set. Let the gateway use it for ${service.name}? Calls are billed to its owner. [y/N] `,
    );
    terminal.close();
    if (!/^y(es)?$/i.test(answer.trim())) continue;
    chooseProvider(file, service.id, { baseUrl: service.baseUrl, models: service.models }, service.models[0] ?? "", {
      comment: ` Chosen on the first run; the key is the secret apiKey-${service.id}.`,
    });
    return { shown: `${service.name}, with the key of ${service.variable}`, setting: `apiKey-${service.id}`, key };
  }
  return undefined;
}
