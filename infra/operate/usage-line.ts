/** What a gateway was used for today, in one line. */
import { z } from "zod";

const Usage = z.object({
  totals: z.object({
    requests: z.number(),
    inputTokens: z.number(),
    outputTokens: z.number(),
    estimatedRequests: z.number(),
    cost: z.record(z.string(), z.number()),
  }),
});

/** Days are those of the record: UTC. Undefined: the gateway does not say, which is no fault of what runs. */
export async function usageLine(url: string, token: string | undefined, now = new Date()): Promise<string | undefined> {
  try {
    const from = now.toISOString().slice(0, 10);
    const answer = await fetch(`${url}/api/usage?from=${from}`, {
      headers: token ? { authorization: `Bearer ${token}` } : {},
      signal: AbortSignal.timeout(3000),
    });
    if (!answer.ok) return undefined;
    const { totals } = Usage.parse(await answer.json());
    const number = (value: number): string => value.toLocaleString("en-US", { maximumFractionDigits: 4 });
    const cost = Object.entries(totals.cost).map(([currency, value]) => `${number(value)} ${currency}`);
    const parts = [
      totals.requests === 1 ? "1 call of a model" : `${number(totals.requests)} calls of models`,
      `${number(totals.inputTokens)} tokens in`,
      `${number(totals.outputTokens)} out`,
      ...(cost.length > 0 ? [`cost ${cost.join(" + ")}`] : []),
      ...(totals.estimatedRequests > 0 ? [`${number(totals.estimatedRequests)} of the calls estimated`] : []),
    ];
    return `Used today (UTC): ${parts.join(", ")}`;
  } catch {
    return undefined;
  }
}
