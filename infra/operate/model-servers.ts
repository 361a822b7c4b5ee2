/** Model servers that run on this machine already, on their usual ports. Asked once, on the first run. */
import { z } from "zod";

export interface FoundModelServer {
  /** Its id as a provider. */
  id: string;
  /** For people. */
  name: string;
  baseUrl: string;
  models: string[];
}

const usual = [
  { id: "ollama", name: "Ollama", port: 11434 },
  { id: "vllm", name: "vLLM", port: 8000 },
  { id: "lmstudio", name: "LM Studio", port: 1234 },
  { id: "llamacpp", name: "llama.cpp", port: 8080 },
];
/** A server on this machine answers in milliseconds; what does not is something else. */
const timeoutMs = 700;
const maxAnswerBytes = 1_000_000;

/** OpenAI's list, lenient on what else is in it. Another program on port 8080 does not answer like this. */
const ModelList = z.object({ object: z.literal("list"), data: z.array(z.object({ id: z.string().min(1) })).min(1) });

/** @param ports for tests: where to look instead */
export async function detectModelServers(ports: { [id: string]: number } = {}): Promise<FoundModelServer[]> {
  const answers = await Promise.all(
    usual.map(async ({ id, name, port }): Promise<FoundModelServer | undefined> => {
      const baseUrl = `http://127.0.0.1:${ports[id] ?? port}/v1`;
      const models = await listModels(`${baseUrl}/models`);
      return models ? { id, name, baseUrl, models } : undefined;
    }),
  );
  return answers.filter((answer) => answer !== undefined);
}

async function listModels(url: string): Promise<string[] | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), redirect: "error" });
    const text = await response.text();
    if (!response.ok || text.length > maxAnswerBytes) return undefined;
    // Embedding models answer no chat.
    const ids = ModelList.parse(JSON.parse(text)).data.map(({ id }) => id);
    const chat = ids.filter((id) => !/embed|rerank|whisper|tts/i.test(id));
    return chat.length > 0 ? chat : undefined;
  } catch {
    return undefined;
  }
}
