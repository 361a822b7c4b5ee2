// A raw client for mixed loads: one keep-alive connection, no retries; each answer is checked to its last piece.
import { Agent, type IncomingMessage, request } from "node:http";
import { clientApis } from "./translations.ts";

/** One kind of request, and what is right about its answer. */
export interface Ask {
  readonly name: string;
  readonly path: string;
  body(): object;
  /** What is wrong with the whole answer; undefined: nothing. */
  check(text: string): string | undefined;
}

export interface Failure {
  /** The client's end of the connection. */
  readonly port: number;
  readonly atMs: number;
  readonly what: string;
}

export interface LoadResult {
  readonly failures: Failure[];
  /** Right answers, by kind of request. */
  readonly right: Map<string, number>;
}

interface Options {
  readonly port: number;
  readonly token: () => string;
  readonly asks: readonly Ask[];
  readonly isOver: () => boolean;
  readonly result: LoadResult;
}

/** Resolves when it is over and the last answer is here. */
export async function runClient({ port, token, asks, isOver, result }: Options, first: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let turn = first; !isOver(); turn += 1) {
    const ask = asks[turn % asks.length];
    if (!ask) continue;
    const { local, what } = await send(ask, { agent, port, token: token() });
    if (what === undefined) result.right.set(ask.name, (result.right.get(ask.name) ?? 0) + 1);
    else result.failures.push({ port: local, atMs: Date.now(), what: `${ask.name}: ${what}` });
  }
  agent.destroy();
}

function send(
  ask: Ask,
  { agent, port, token }: { agent: Agent; port: number; token: string },
): Promise<{ local: number; what: string | undefined }> {
  return new Promise((resolve) => {
    let local = 0;
    let text = "";
    const end = (what: string | undefined): void => resolve({ local, what });
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const sent = request({ host: "127.0.0.1", port, path: ask.path, method: "POST", agent, headers });
    sent.on("socket", (socket) => {
      if (socket.localPort !== undefined) local = socket.localPort;
      else socket.once("connect", () => (local = socket.localPort ?? 0));
    });
    sent.on("error", (error) => end(`${error.message} after ${text.length} characters`));
    sent.on("response", (response: IncomingMessage) => {
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", (error) => end(`${error.message} after ${text.length} characters`));
      response.on("end", () => {
        if (response.statusCode !== 200) end(`status ${response.statusCode}: ${text.slice(0, 300)}`);
        else end(ask.check(text));
      });
    });
    sent.end(JSON.stringify(ask.body()));
  });
}

const terminators = {
  "chat-completions": /data: \[DONE\]\r?\n\r?\n$/,
  responses: /"type":"response\.completed"/,
  messages: /"type":"message_stop"/,
};

/** The client APIs, streaming and not, for one model; the answer must be the expected text from the first word to the last. */
export function asksOf(model: string, expected: string, modes: readonly ("json" | "stream")[]): Ask[] {
  return modes.flatMap((mode) =>
    Object.entries(clientApis).map(([name, api]): Ask => {
      const terminator = Object.entries(terminators).find(([of]) => of === name)?.[1] ?? /$^/;
      return {
        name: `${name} ${mode} ${model}`,
        path: api.path,
        body: () => api.ask(model, "count", mode === "stream"),
        check(text) {
          if (mode === "stream" && !terminator.test(text)) return `without its terminator: …${text.slice(-200)}`;
          const heard = mode === "stream" ? api.readStream(text).text : api.read(JSON.parse(text)).text;
          return heard === expected ? undefined : `the text is ${JSON.stringify(heard).slice(0, 300)}`;
        },
      };
    }),
  );
}
