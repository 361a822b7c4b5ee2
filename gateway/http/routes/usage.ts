// GET /api/usage: tokens and cost by token, model, day and more. A token sees its own; operator.admin sees all.
import type { FastifyInstance } from "fastify";
import { GatewayError, messageOf } from "../../errors.ts";
import { type UsageDimension, type UsageQuery, usageDimensions } from "../../store/store.ts";
import type { GatewayContext } from "../context.ts";

type Asked = Partial<Record<"from" | "to" | "groupBy" | "token", string>>;

const monthMs = 30 * 86_400_000;

export function registerUsage(server: FastifyInstance, context: GatewayContext): void {
  server.get("/api/usage", { config: { scope: "operator.read" } }, async (request) => {
    const caller = request.visit.caller;
    const all = caller?.scopes.has("operator.admin") ?? false;
    const asked = readNames(request.query);
    const { token } = asked;
    if (!all && token !== undefined && token !== caller?.id)
      throw new GatewayError("missing_scope", "Usage of another token is for the scope operator.admin.", { param: "token" });
    const query = readQuery(asked, Date.now(), all ? token : caller?.id);
    try {
      const { rows, totals } = await context.usage.report(query);
      return {
        from: new Date(query.from).toISOString(),
        to: new Date(query.to).toISOString(),
        groupBy: query.groupBy,
        usage: rows.map(({ of, ...sums }) => ({ ...of, ...sums })),
        totals,
      };
    } catch (error) {
      throw new GatewayError("internal", `The record of usage cannot be read: ${messageOf(error)}`, { cause: error });
    }
  });
}

/** What is said twice is a list. */
function readNames(query: unknown): Asked {
  const asked: Asked = {};
  for (const name of ["from", "to", "groupBy", "token"] as const) {
    const value: unknown = Reflect.get(Object(query), name);
    if (typeof value === "string") asked[name] = value;
    else if (value !== undefined)
      throw new GatewayError("invalid_request", `${name} is there more than once.`, { param: name });
  }
  return asked;
}

function readQuery(asked: Asked, nowMs: number, token: string | undefined): UsageQuery {
  const to = asked.to === undefined ? nowMs : timeOf("to", asked.to);
  const from = asked.from === undefined ? to - monthMs : timeOf("from", asked.from);
  if (from >= to) throw new GatewayError("invalid_request", "from must be before to.", { param: "from" });
  const names = (asked.groupBy ?? "").split(",").filter((name) => name !== "");
  const groupBy = names.map((name): UsageDimension => {
    const found = usageDimensions.find((dimension) => dimension === name);
    if (found) return found;
    const known = usageDimensions.join(", ");
    throw new GatewayError("invalid_request", `groupBy: ${JSON.stringify(name.slice(0, 50))} is none of ${known}.`, {
      param: "groupBy",
    });
  });
  return { from, to, groupBy: [...new Set(groupBy)], token };
}

function timeOf(name: string, text: string): number {
  const time = /^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:?\d{2}))?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw new GatewayError("invalid_request", `${name} must be a day (2026-12-31, in UTC) or a time (2026-12-31T08:00:00Z).`, {
    param: name,
  });
}
