// Sums of usage by what is asked for: from the hours in the database and from what is not written yet.
import type { UsageDimension, UsageQuery, UsageReport, UsageRow, UsageSums } from "../store.ts";
import type { UsageDatabase } from "./database.ts";

const hourMs = 3_600_000;

interface Hour {
  readonly hour: number;
  readonly token: string;
  readonly provider: string;
  readonly model: string;
  readonly api: string;
  readonly outcome: string;
  readonly currency: string;
  readonly estimated: boolean;
  readonly requests: number;
  readonly input: number;
  readonly output: number;
  readonly cached: number;
  readonly cost: number;
}

type Source = Pick<UsageDatabase, "all">;

/** A day at a time: what many tokens used in a year is not read in one go. */
const stepHours = 24;

/** `pause` lets others run. */
export async function reportOf(
  source: Source | undefined,
  query: UsageQuery,
  pause: () => Promise<unknown>,
): Promise<UsageReport> {
  const report = createReport(query);
  const [ends] = source?.all("SELECT min(hour) AS first, max(hour) AS last FROM usage_hours") ?? [];
  const first = Math.max(Math.floor(query.from / hourMs), Number(ends?.first ?? 0));
  const end = Math.min(Math.ceil(query.to / hourMs), Number(ends?.last ?? -1) + 1);
  for (let from = first; source && from < end; from += stepHours) {
    if (from > first) await pause();
    for (const hour of hoursOf(source, query, from, Math.min(end, from + stepHours))) report.add(hour);
  }
  return report.result();
}

export function spentOf(source: Source | undefined, token: string, sinceMs: number, currency: string): number {
  const [row] =
    source?.all(
      "SELECT sum(cost) AS cost FROM usage_hours WHERE token = ? AND hour >= ? AND currency = ?",
      token,
      Math.floor(sinceMs / hourMs),
      currency,
    ) ?? [];
  return Number(row?.cost ?? 0);
}

function createReport(query: UsageQuery) {
  const rows = new Map<string, { of: UsageRow["of"]; sums: Sums }>();
  const totals = newSums();
  return {
    add(hour: Hour): void {
      const of: Partial<Record<UsageDimension, string>> = {};
      for (const dimension of query.groupBy) of[dimension] = labelOf(hour, dimension);
      const key = Object.values(of).join("\0");
      const row = rows.get(key) ?? { of, sums: newSums() };
      rows.set(key, row);
      add(row.sums, hour);
      add(totals, hour);
    },
    result: (): UsageReport => ({
      rows:
        query.groupBy.length === 0
          ? []
          : [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { of, sums }]) => ({ of, ...sums })),
      totals,
    }),
  };
}

/** Grouped by SQLite already, so that only the answer's rows come out, with what decides about their sums. */
function hoursOf(source: Source, query: UsageQuery, from: number, to: number): Hour[] {
  const wanted = new Set<string>(["currency", "estimated"]);
  for (const dimension of query.groupBy) wanted.add(columns[dimension]);
  const where = query.token === undefined ? "" : " AND token = ?";
  const values = [from, to, ...(query.token === undefined ? [] : [query.token])];
  const names = [...wanted].join(", ");
  // Days are made of hours by SQLite, where nobody asked for the hours themselves.
  const columnsOf = names.replace(/\bhour\b/, query.groupBy.includes("hour") ? "hour" : "hour / 24 * 24 AS hour");
  const grouped = [...wanted].map((_, index) => index + 1).join(", ");
  return source
    .all(
      `SELECT ${columnsOf}, sum(requests) AS requests, sum(input) AS input, sum(output) AS output, sum(cached) AS cached,
         sum(cost) AS cost FROM usage_hours WHERE hour >= ? AND hour < ?${where} GROUP BY ${grouped}`,
      ...values,
    )
    .map((row) => ({
      hour: Number(row.hour ?? 0),
      token: String(row.token ?? ""),
      provider: String(row.provider ?? ""),
      model: String(row.model ?? ""),
      api: String(row.api ?? ""),
      outcome: String(row.outcome ?? ""),
      currency: String(row.currency ?? ""),
      estimated: row.estimated === 1,
      requests: Number(row.requests),
      input: Number(row.input),
      output: Number(row.output),
      cached: Number(row.cached),
      cost: Number(row.cost),
    }));
}

/** Days and months are those of UTC. */
const columns: Readonly<Record<UsageDimension, string>> = {
  token: "token",
  provider: "provider",
  model: "model",
  api: "api",
  outcome: "outcome",
  currency: "currency",
  estimated: "estimated",
  hour: "hour",
  day: "hour",
  month: "hour",
};

function labelOf(hour: Hour, dimension: UsageDimension): string {
  if (dimension === "estimated") return String(hour.estimated);
  if (dimension !== "hour" && dimension !== "day" && dimension !== "month") return hour[dimension];
  const time = new Date(hour.hour * hourMs).toISOString();
  return dimension === "hour" ? `${time.slice(0, 13)}:00Z` : time.slice(0, dimension === "day" ? 10 : 7);
}

type Sums = { -readonly [key in Exclude<keyof UsageSums, "cost">]: number } & { cost: Record<string, number> };

const newSums = (): Sums => ({
  requests: 0,
  inputTokens: 0,
  outputTokens: 0,
  cachedTokens: 0,
  estimatedTokens: 0,
  estimatedRequests: 0,
  cost: {},
});

function add(sums: Sums, hour: Hour): void {
  sums.requests += hour.requests;
  sums.inputTokens += hour.input;
  sums.outputTokens += hour.output;
  sums.cachedTokens += hour.cached;
  if (hour.estimated) {
    sums.estimatedTokens += hour.input + hour.output;
    sums.estimatedRequests += hour.requests;
  }
  if (hour.cost !== 0) sums.cost[hour.currency] = (sums.cost[hour.currency] ?? 0) + hour.cost;
}
