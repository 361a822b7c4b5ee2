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
  /** Writes what waits for its turn. */
  flush(): void;
}

export interface LogSettings {
  /** Lines of debug and info wait for the end of the event loop's turn, and are written together: who exits must flush. */
  readonly gathered?: boolean;
  readonly level?: Level;
  readonly format?: "json" | "text";
  /** Takes known secrets out of texts that came from elsewhere. */
  readonly redact?: (text: string) => string;
}

/** More is written at once: a burst must not become one long pause. */
const maxWaiting = 64 * 1024;

export function createLog(write: (line: string) => void, settings: LogSettings = {}, now: () => Date = () => new Date()): Log {
  const state = {
    threshold: levels.indexOf(settings.level ?? "info"),
    format: settings.format ?? "json",
    redact: settings.redact,
    gathered: settings.gathered ?? false,
  };

  let waiting = "";
  let flushing: NodeJS.Immediate | undefined;
  function flush(): void {
    clearImmediate(flushing);
    flushing = undefined;
    if (waiting === "") return;
    const text = state.redact ? state.redact(waiting) : waiting;
    waiting = "";
    write(text);
  }

  function logger(component: string): Log {
    const start = `","component":${JSON.stringify(component)},"event":`;
    const put = (level: Level, event: string, message: string, fields: LogFields = {}): void => {
      if (levels.indexOf(level) < state.threshold) return;
      const time = now().toISOString();
      if (state.format === "json") {
        // The fields are not copied into an object of the whole line: this is one of the things that each request does.
        const begin = `{"timestamp":"${time}","level":"${level}${start}${quoted(event)},"message":${quoted(message)}`;
        waiting += `${begin}${jsonOf(fields)}}\n`;
      } else waiting += `${time} ${level.toUpperCase().padEnd(5)} ${component} ${event}: ${message}${textOf(fields)}\n`;
      if (!state.gathered || levels.indexOf(level) > levels.indexOf("info") || waiting.length > maxWaiting) flush();
      else flushing ??= setImmediate(flush);
    };
    return {
      debug: (event, message, fields) => put("debug", event, message, fields),
      info: (event, message, fields) => put("info", event, message, fields),
      warn: (event, message, fields) => put("warn", event, message, fields),
      error: (event, message, fields) => put("error", event, message, fields),
      of(other) {
        const made = loggers.get(other) ?? logger(other);
        loggers.set(other, made);
        return made;
      },
      configure(next) {
        if (next.level) state.threshold = levels.indexOf(next.level);
        if (next.format) state.format = next.format;
        if (next.redact) state.redact = next.redact;
      },
      flush,
    };
  }
  const loggers = new Map<string, Log>();
  return logger("gateway");
}

const plain = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
const quoted = (text: string): string => (plain.test(text) ? `"${text}"` : JSON.stringify(text));

/** Each with a comma before it. */
function jsonOf(fields: LogFields): string {
  let text = "";
  let key: keyof LogFields;
  // Without a list of its entries: there are twenty in each request's line.
  for (key in fields) {
    const value = fields[key];
    if (value === undefined) continue;
    text += `,"${key}":${typeof value === "string" ? quoted(value) : typeof value === "object" ? JSON.stringify(value) : value}`;
  }
  return text;
}

function textOf(fields: LogFields): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${typeof value === "string" && /[\s"]/.test(value) ? JSON.stringify(value) : value}`)
    .join("");
}
