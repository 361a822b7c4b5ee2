/** One question to a gateway behind TLS by the real `openai` client, at an address, under a name that no DNS knows. */
import type { LookupFunction } from "node:net";
import OpenAI from "openai";
import { Agent, fetch as undiciFetch } from "undici";

export interface AskedGateway {
  /** https://ADDRESS:PORT */
  readonly url: string;
  /** In its certificate. */
  readonly name: string;
  /** PEM. */
  readonly ca: string;
}

/** What the model said. @throws as the client does, which tries nothing twice */
export async function askModel({ url, name, ca }: AskedGateway, token: string, model: string): Promise<string> {
  const { hostname, port } = new URL(url);
  // As DNS would say it.
  const lookup: LookupFunction = (_name, _options, found) => found(null, [{ address: hostname, family: 4 }]);
  // HTTP/1.1, as the client speaks by itself. Over HTTP/2 a proxy that reads its files again may send a new connection away before
  // its first request (GOAWAY, nothing processed), which a client has to ask again elsewhere: undici's `fetch` cannot, with a body.
  const dispatcher = new Agent({ allowH2: false, connect: { ca, lookup } });
  try {
    const client = new OpenAI({
      apiKey: token,
      baseURL: `https://${name}:${port}/v1`,
      maxRetries: 0,
      fetch: (where, init = {}) =>
        undiciFetch(where instanceof Request ? where.url : where, {
          method: init.method,
          headers: Object.fromEntries(new Headers(init.headers)),
          body: typeof init.body === "string" ? init.body : undefined,
          signal: init.signal,
          dispatcher,
        }),
    });
    const answer = await client.chat.completions.create({ model, messages: [{ role: "user", content: "hello" }] });
    return answer.choices[0]?.message.content ?? "";
  } finally {
    await dispatcher.close();
  }
}
