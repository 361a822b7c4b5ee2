/** Tables and times as the CLI prints them. */

/** Columns are two spaces apart; a cell with several lines takes several rows. `after` holds lines below a row. */
export function formatTable(headers: string[], rows: { columns: string[]; after?: string }[], prefix = ""): string {
  const lines: { columns: string[]; after?: string }[] = [{ columns: headers }];
  for (const row of rows) {
    const cells = row.columns.map((cell) => cell.split("\n"));
    const height = Math.max(...cells.map((cell) => cell.length));
    for (let i = 0; i < height; i++) {
      lines.push({
        columns: cells.map((cell) => cell[i] ?? ""),
        ...(i === height - 1 && row.after ? { after: row.after } : {}),
      });
    }
  }
  const widths = headers.map((_, index) => Math.max(...lines.map(({ columns }) => [...(columns[index] ?? "")].length)));
  return lines
    .map(({ columns, after }) => {
      const padded = columns.map((cell, index) =>
        index === columns.length - 1 ? cell : cell + " ".repeat((widths[index] ?? 0) - [...cell].length),
      );
      return `${prefix}${padded.join("  ")}\n${after ?? ""}`;
    })
    .join("");
}

const units: [limitSeconds: number, unitSeconds: number, one: string, many: string][] = [
  [60, 1, "1 second", "seconds"],
  [3600, 60, "1 minute", "minutes"],
  [86400, 3600, "1 hour", "hours"],
  [7 * 86400, 86400, "1 day", "days"],
  [30 * 86400, 7 * 86400, "1 week", "weeks"],
  [365 * 86400, 30 * 86400, "1 month", "months"],
];

/** "4 seconds ago". */
export function humanTime(then: Date, now: Date): string {
  const seconds = Math.floor(Math.abs(now.getTime() - then.getTime()) / 1000);
  const suffix = then.getTime() <= now.getTime() ? "ago" : "from now";
  if (seconds < 1) return "now";
  for (const [limit, unit, one, many] of units) {
    if (seconds >= limit) continue;
    const count = Math.floor(seconds / unit);
    return `${count === 1 ? one : `${count} ${many}`} ${suffix}`;
  }
  const years = seconds / (360 * 86400);
  if (years < 1.5) return `1 year ${suffix}`;
  if (years < 2) return `2 years ${suffix}`;
  return years < 37 ? `${Math.floor(years)} years ${suffix}` : `a long while ${suffix}`;
}

/** `2026-11-21 12:59:21.615527606 +0000 UTC`, in local time, from an RFC 3339 text whose fraction is kept. */
export function goTimeText(timestamp: string): string {
  const date = new Date(timestamp);
  const fraction = /\.\d+/.exec(timestamp)?.[0] ?? "";
  const offset = -date.getTimezoneOffset();
  const local = new Date(date.getTime() + offset * 60_000).toISOString();
  const sign = offset < 0 ? "-" : "+";
  const hours = String(Math.floor(Math.abs(offset) / 60)).padStart(2, "0");
  const minutes = String(Math.abs(offset) % 60).padStart(2, "0");
  const zone = offset === 0 ? "UTC" : zoneName(date, `${sign}${hours}`);
  return `${local.slice(0, 10)} ${local.slice(11, 19)}${fraction} ${sign}${hours}${minutes} ${zone}`;
}

function zoneName(date: Date, fallback: string): string {
  const parts = new Intl.DateTimeFormat("en-US", { timeZoneName: "short" }).formatToParts(date);
  const name = parts.find((part) => part.type === "timeZoneName")?.value ?? "";
  return /^[A-Z]{3,4}$/.test(name) ? name : fallback;
}

/** Milliseconds, as the CLI's JSON documents have them; undefined for Go's zero time. */
export function jsonTime(timestamp: string): string | undefined {
  const date = new Date(timestamp);
  return Number.isNaN(date.getTime()) || date.getUTCFullYear() <= 1 ? undefined : date.toISOString();
}
