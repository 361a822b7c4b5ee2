// Logs as JSON lines with fixed fields. Only what has a field can be logged: no bodies, no headers, no objects.

export const levels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type Level = (typeof levels)[number];

/** Names as tutorials and dashboards know them. */
export interface LogFields {
  readonly task_id?: string;
  readonly workspace?: string;
  readonly duration_ms?: number;
  readonly llm_tokens?: number;
  readonly node_id?: string;
  readonly trace_id?: string;
  readonly error_code?: string;
  readonly request_id?: string;
  readonly method?: string;
  readonly route?: string;
  readonly status?: number;
  readonly remote?: string;
  readonly token_id?: string;
  readonly provider?: string;
  readonly model?: string;
  readonly stream?: boolean;
  /** Upstreams asked. */
  readonly tries?: number;
  /** hit, miss, coalesced or bypass. */
  readonly cache?: string;
  readonly bytes?: number;
  readonly ttft_ms?: number;
  readonly port?: number;
  readonly pid?: number;
  readonly version?: string;
  readonly config_hash?: string;
  readonly generation?: number;
  readonly paths?: readonly string[];
}

export interface Log {
  debug(event: string, message: string, fields?: LogFields): void;
  info(event: string, message: string, fields?: LogFields): void;
  warn(event: string, message: string, fields?: LogFields): void;
  error(event: string, message: string, fields?: LogFields): void;
  of(component: string): Log;
  configure(settings: LogSettings): void;
}

export interface LogSettings {
  readonly level?: Level;
  readonly format?: "json" | "text";
  /** Takes known secrets out of texts that came from elsewhere. */
  readonly redact?: (text: string) => string;
}

export function createLog(write: (line: string) => void, settings: LogSettings = {}, now: () => Date = () => new Date()): Log {
  const state = {
    threshold: levels.indexOf(settings.level ?? "info"),
    format: settings.format ?? "json",
    redact: settings.redact,
  };

  function logger(component: string): Log {
    const put = (level: Level, event: string, message: string, fields: LogFields = {}): void => {
      if (levels.indexOf(level) < state.threshold) return;
      const line =
        state.format === "json"
          ? JSON.stringify({ timestamp: now().toISOString(), level, component, event, message, ...fields })
          : `${now().toISOString()} ${level.toUpperCase().padEnd(5)} ${component} ${event}: ${message}${textOf(fields)}`;
      write(`${state.redact ? state.redact(line) : line}\n`);
    };
    return {
      debug: (event, message, fields) => put("debug", event, message, fields),
      info: (event, message, fields) => put("info", event, message, fields),
      warn: (event, message, fields) => put("warn", event, message, fields),
      error: (event, message, fields) => put("error", event, message, fields),
      of: logger,
      configure(next) {
        if (next.level) state.threshold = levels.indexOf(next.level);
        if (next.format) state.format = next.format;
        if (next.redact) state.redact = next.redact;
      },
    };
  }
  return logger("gateway");
}

function textOf(fields: LogFields): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${typeof value === "string" && /[\s"]/.test(value) ? JSON.stringify(value) : value}`)
    .join("");
}
