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

export function reportOf(database: Pick<UsageDatabase, "all"> | undefined, query: UsageQuery): UsageReport {
  const rows = new Map<string, { of: UsageRow["of"]; sums: Sums }>();
  const totals = newSums();
  for (const hour of hoursOf(database, query)) {
    const of: Partial<Record<UsageDimension, string>> = {};
    for (const dimension of query.groupBy) of[dimension] = labelOf(hour, dimension);
    const key = Object.values(of).join("\0");
    const row = rows.get(key) ?? { of, sums: newSums() };
    rows.set(key, row);
    add(row.sums, hour);
    add(totals, hour);
  }
  return {
    rows: query.groupBy.length === 0 ? [] : [...rows.values()].map(({ of, sums }) => ({ of, ...sums })),
    totals,
  };
}

/** Grouped by SQLite already, so that only the answer's rows come out, with what decides about their sums. */
function hoursOf(database: Pick<UsageDatabase, "all"> | undefined, query: UsageQuery): Hour[] {
  if (!database) return [];
  const wanted = new Set<string>(["currency", "estimated"]);
  for (const dimension of query.groupBy) wanted.add(columns[dimension]);
  const where = query.token === undefined ? "" : " AND token = ?";
  const values = [
    Math.floor(query.from / hourMs),
    Math.ceil(query.to / hourMs),
    ...(query.token === undefined ? [] : [query.token]),
  ];
  const names = [...wanted].join(", ");
  return database
    .all(
      `SELECT ${names}, sum(requests) AS requests, sum(input) AS input, sum(output) AS output, sum(cached) AS cached,
         sum(cost) AS cost FROM usage_hours WHERE hour >= ? AND hour < ?${where} GROUP BY ${names} ORDER BY ${names}`,
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
