/** What a deployed stack full of secrets is asked, and where the operator keeps what encrypts them. */
import { readdirSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import type { Finding } from "./planted-secrets.ts";

/** The status of a gateway's answer over HTTPS; its certificate may be anybody's. Each on a connection of its own: a reload closes kept ones. */
export function askedStatus(
  { address, name }: { address: string; name: string },
  token: string,
  model: string,
  query = "",
): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = {
      agent: false,
      host: address,
      servername: name,
      rejectUnauthorized: false,
      method: "POST",
      path: `/v1/chat/completions${query}`,
      headers: { host: name, "content-type": "application/json", authorization: `Bearer ${token}` },
    };
    const sent = request(options, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    });
    sent.on("error", reject);
    sent.end(JSON.stringify({ model, messages: [{ role: "user", content: "hello" }] }));
  });
}

/** Of the only clone that was used by this home. */
export function passphraseFileIn(home: string): string {
  const folder = join(home, ".local/share/openclaw-stack");
  return join(folder, readdirSync(folder)[0] ?? "", "passphrase");
}

/** For a message: which secret is where, each once. */
export function toldOnce(found: readonly Finding[]): string[] {
  return [...new Set(found.map(({ secret, place, form }) => `${secret}: ${form} in ${place}`))].sort();
}

/** Seconds since it was called. */
export function stopwatch(): () => string {
  const start = performance.now();
  return () => `${((performance.now() - start) / 1000).toFixed(1)} s`;
}
