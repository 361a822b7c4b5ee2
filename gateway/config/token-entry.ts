// Named tokens on a command line: options become an entry of `tokens`, entries become lines to read. Never the token itself.
import type { z } from "zod";
import { type TokenConfig, tokenSchema } from "./governance.ts";

/** All that an entry may say, but for the token. */
const entrySchema = tokenSchema.omit({ token: true, previous: true });
export type TokenEntry = z.input<typeof entrySchema>;

export const tokenOptionsHelp = `  --scopes read,write          what it may do: read, write, admin, approvals, pairing
  --models NAMES               the only models it may ask for, with * for any text, separated by commas
  --requests-per-minute N      model calls in a minute
  --tokens-per-minute N        model tokens in a minute
  --concurrent N               model calls at the same time
  --budget AMOUNT[/WINDOW]     what it may cost a day, week, month or in all (total); month unless said
  --allow-from NETWORKS        the only addresses it is let in from, separated by commas
  --priority NAME              interactive, normal or batch
  --not-before TIME            2026-12-31T00:00:00Z, or from now: 30m, 12h, 7d
  --expires TIME               the same
`;

/** One for each option: what it says in the entry. Throws a text for people. */
const options: Readonly<Record<string, (value: string, nowMs: number) => object>> = {
  "--scopes": (value) => ({ scopes: list(value).map((scope) => (scope.includes(".") ? scope : `operator.${scope}`)) }),
  "--models": (value) => ({ models: list(value) }),
  "--requests-per-minute": (value) => ({ limits: { requestsPerMinute: Number(value) } }),
  "--tokens-per-minute": (value) => ({ limits: { tokensPerMinute: Number(value) } }),
  "--concurrent": (value) => ({ limits: { concurrent: Number(value) } }),
  "--budget": (value) => {
    const [amount, window] = value.split("/");
    return { budget: { amount: Number(amount), ...(window === undefined ? {} : { window }) } };
  },
  "--allow-from": (value) => ({ allowFrom: list(value) }),
  "--priority": (value) => ({ priority: value }),
  "--not-before": (value, nowMs) => ({ notBefore: timeOf(value, nowMs) }),
  "--expires": (value, nowMs) => ({ expiresAt: timeOf(value, nowMs) }),
};

/** `create ID --option value …`; options of others are left in `rest`. A text says what is wrong. */
export function readTokenOptions(
  words: readonly string[],
  nowMs: number = Date.now(),
): { entry: TokenEntry; rest: readonly string[] } | string {
  const found: { [key: string]: unknown } = {};
  const limits: { [key: string]: unknown } = {};
  const rest: string[] = [];
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? "";
    const [name = "", ...given] = word.split("=");
    const option = Object.hasOwn(options, name) ? options[name] : undefined;
    if (!option) {
      if (found.id === undefined && !word.startsWith("-")) found.id = word;
      else rest.push(word);
      continue;
    }
    if (given.length === 0) index += 1;
    const value = given.length > 0 ? given.join("=") : words[index];
    if (value === undefined) return `${name} needs a value.`;
    const said = option(value, nowMs);
    if ("limits" in said) Object.assign(limits, said.limits);
    else Object.assign(found, said);
  }
  if (found.id === undefined) return "Name the token: an id of letters, digits, . _ and -, such as ci.";
  const wanted = { ...found, ...(Object.keys(limits).length > 0 ? { limits } : {}) };
  const checked = entrySchema.safeParse(wanted);
  if (!checked.success) {
    return checked.error.issues.map((issue) => `${issue.path.map(String).join(".") || "id"}: ${issue.message}`).join("\n");
  }
  // As it was said, without the defaults: so it is written.
  return { entry: { ...wanted, id: checked.data.id }, rest };
}

export interface TokenLine {
  readonly id: string;
  readonly state: "active" | "not yet" | "expired";
  readonly scopes: string;
  readonly models: string;
  readonly limits: string;
  readonly expires: string;
}

export function describeToken(token: Omit<TokenConfig, "token">, nowMs: number = Date.now()): TokenLine {
  const { limits = {}, budget } = token;
  const parts = [
    limits.requestsPerMinute === undefined ? "" : `${limits.requestsPerMinute} requests/min`,
    limits.tokensPerMinute === undefined ? "" : `${limits.tokensPerMinute} tokens/min`,
    limits.concurrent === undefined ? "" : `${limits.concurrent} at once`,
    budget === undefined
      ? ""
      : `${budget.amount}${budget.currency ? ` ${budget.currency}` : ""} ${budget.window === "total" ? "in all" : `a ${budget.window}`}`,
    token.allowFrom === undefined ? "" : `from ${token.allowFrom.join(" ")}`,
    token.priority === "normal" ? "" : token.priority,
  ];
  const expired = token.expiresAt !== undefined && Date.parse(token.expiresAt) <= nowMs;
  const early = token.notBefore !== undefined && Date.parse(token.notBefore) > nowMs;
  const old =
    token.previous && Date.parse(token.previous.expiresAt) > nowMs ? ` (the one before: ${token.previous.expiresAt})` : "";
  return {
    id: token.id,
    state: expired ? "expired" : early ? "not yet" : "active",
    scopes: token.scopes.map((scope) => scope.replace("operator.", "")).join(","),
    models: token.models?.join(",") ?? "all",
    limits: parts.filter((part) => part !== "").join(", ") || "none",
    expires: `${token.expiresAt ?? "never"}${old}`,
  };
}

/** Columns as wide as their widest entry. */
export function tokenTable(lines: readonly TokenLine[]): string {
  const head: Record<keyof TokenLine, string> = {
    id: "ID",
    state: "STATE",
    scopes: "SCOPES",
    models: "MODELS",
    limits: "LIMITS",
    expires: "EXPIRES",
  };
  const rows = [head, ...lines].map(({ id, state, scopes, models, limits, expires }) => [
    id,
    state,
    scopes,
    models,
    limits,
    expires,
  ]);
  const widths = Object.keys(head).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** From now: 30m, 12h, 7d; or the time itself. */
export function timeOf(text: string, nowMs: number): string {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (count === undefined) return text;
  const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit ?? "s"] ?? 1000;
  return new Date(Math.ceil((nowMs + Number(count) * unitMs) / 1000) * 1000).toISOString().replace(".000Z", "Z");
}

const list = (text: string): string[] =>
  text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
