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

/** Of the access log: what it says of one request. */
export interface AccessFields {
  readonly request_id: string;
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly duration_ms: number;
  readonly remote: string | undefined;
  readonly token_id: string | undefined;
  readonly trace_id: string;
  readonly provider: string | undefined;
  readonly model: string | undefined;
  readonly stream: boolean | undefined;
  readonly tries: number | undefined;
  readonly cache: string | undefined;
  readonly ttft_ms: number | undefined;
  readonly llm_tokens: number | undefined;
  readonly error_code: string | undefined;
}

export interface Log {
  /** The line of a request: the same as `info` or `debug` of its fields as "request", and cheaper. */
  access(level: "info" | "debug", fields: AccessFields): void;
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
  /** Lines of debug and info wait a few milliseconds, and are written together: who exits must flush. */
  readonly gathered?: boolean;
  readonly level?: Level;
  readonly format?: "json" | "text";
  /** Takes known secrets out of texts that came from elsewhere. */
  readonly redact?: (text: string) => string;
}

/** More is written at once: a burst must not become one long pause. */
const maxWaiting = 64 * 1024;
const gatherMs = 4;

export function createLog(write: (line: string) => void, settings: LogSettings = {}, now: () => number = Date.now): Log {
  const state = {
    threshold: levels.indexOf(settings.level ?? "info"),
    format: settings.format ?? "json",
    redact: settings.redact,
    gathered: settings.gathered ?? false,
  };

  let waiting = "";
  let flushing: NodeJS.Timeout | undefined;
  function flush(): void {
    clearTimeout(flushing);
    flushing = undefined;
    if (waiting === "") return;
    const text = waiting;
    waiting = "";
    write(text);
  }

  function gather(atOnce: boolean): void {
    if (atOnce || waiting.length > maxWaiting) flush();
    else flushing ??= setTimeout(flush, gatherMs);
  }

  function logger(component: string): Log {
    const named = `,"component":${JSON.stringify(component)},"event":`;
    const requestStarts = {
      info: `","level":"info"${named}"request","message":`,
      debug: `","level":"debug"${named}"request","message":`,
    };
    const put = (level: Level, event: string, message: string, fields: LogFields = {}): void => {
      if (levels.indexOf(level) < state.threshold) return;
      const time = stamp(now());
      // The fields are not copied into an object of the whole line.
      const line =
        state.format === "json"
          ? `{"timestamp":"${time}","level":"${level}"${named}${quoted(event)},"message":${quoted(message)}${jsonOf(fields)}}\n`
          : `${time} ${level.toUpperCase().padEnd(5)} ${component} ${event}: ${message}${textOf(fields)}\n`;
      waiting += state.redact ? state.redact(line) : line;
      gather(!state.gathered || levels.indexOf(level) > levels.indexOf("info"));
    };
    const access = (level: "info" | "debug", fields: AccessFields): void => {
      if (levels.indexOf(level) < state.threshold) return;
      if (state.format !== "json") {
        put(level, "request", `${fields.method} ${fields.route} ${fields.status}`, fields);
        return;
      }
      waiting += `{"timestamp":"${stamp(now())}${requestStarts[level]}${accessOf(fields, state.redact)}`;
      gather(!state.gathered);
    };
    return {
      access,
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
        for (const made of [asked, callers, served]) made.length = 0;
      },
      flush,
    };
  }
  const loggers = new Map<string, Log>();
  return logger("gateway");
}

function quoted(text: string): string {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c) return JSON.stringify(text);
  }
  return `"${text}"`;
}

/** Made for the latest requests, and used again by those that say the same: bounded, for some of it is a client's. */
const maxFixed = 16;

interface Asked {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly text: string;
  readonly after: string;
}
interface Caller {
  readonly remote: string | undefined;
  readonly token_id: string | undefined;
  readonly text: string;
}
interface Served {
  readonly provider: string | undefined;
  readonly model: string | undefined;
  readonly stream: boolean | undefined;
  readonly tries: number | undefined;
  readonly cache: string | undefined;
  readonly text: string;
}
const asked: Asked[] = [];
const callers: Caller[] = [];
const served: Served[] = [];

function keep<Part>(parts: Part[], made: Part): Part {
  if (parts.length >= maxFixed) parts.shift();
  parts.push(made);
  return made;
}

const pair = (name: string, value: string | undefined): string => (value === undefined ? "" : `,"${name}":${quoted(value)}`);
const plainPair = (name: string, value: number | boolean | undefined): string =>
  value === undefined ? "" : `,"${name}":${value}`;

type Redact = ((text: string) => string) | undefined;
const clean = (text: string, redact: Redact): string => (redact ? redact(text) : text);

function askedOf({ method, route, status }: AccessFields, redact: Redact): Asked {
  for (const one of asked) if (one.status === status && one.route === route && one.method === method) return one;
  const text = clean(`${quoted(`${method} ${route} ${status}`)},"request_id":`, redact);
  const after = clean(`${pair("method", method)}${pair("route", route)},"status":${status},"duration_ms":`, redact);
  return keep(asked, { method, route, status, text, after });
}

function callerOf({ remote, token_id }: AccessFields, redact: Redact): Caller {
  for (const one of callers) if (one.remote === remote && one.token_id === token_id) return one;
  const text = clean(`${pair("remote", remote)}${pair("token_id", token_id)},"trace_id":`, redact);
  return keep(callers, { remote, token_id, text });
}

function servedOf({ provider, model, stream, tries, cache }: AccessFields, redact: Redact): Served {
  for (const one of served) {
    const isSame = one.model === model && one.provider === provider && one.stream === stream;
    if (isSame && one.tries === tries && one.cache === cache) return one;
  }
  const text = `${pair("provider", provider)}${pair("model", model)}${plainPair("stream", stream)}${plainPair("tries", tries)}${pair("cache", cache)}`;
  return keep(served, { provider, model, stream, tries, cache, text: clean(text, redact) });
}

/**
 * Message and fields of a request's line, to its end: of few pieces, most of them made before. What a client may have chosen at each
 * request is looked through; the rest is our own.
 */
function accessOf(f: AccessFields, redact: Redact): string {
  const { text, after } = askedOf(f, redact);
  const id = quoted(clean(f.request_id, redact));
  const trace = quoted(clean(f.trace_id, redact));
  let line = `${text}${id}${after}${f.duration_ms}${callerOf(f, redact).text}${trace}${servedOf(f, redact).text}`;
  if (f.ttft_ms !== undefined) line += `,"ttft_ms":${f.ttft_ms}`;
  if (f.llm_tokens !== undefined) line += `,"llm_tokens":${f.llm_tokens}`;
  if (f.error_code !== undefined) line += `,"error_code":${quoted(f.error_code)}`;
  return `${line}}\n`;
}

/** The seconds of the last stamp, which the next one nearly always shares. */
let second = Number.NaN;
let secondText = "";

/** As toISOString writes it. */
function stamp(timeMs: number): string {
  const of = Math.floor(timeMs / 1000);
  if (of !== second) {
    second = of;
    secondText = new Date(of * 1000).toISOString().slice(0, 20);
  }
  const ms = Math.floor(timeMs) - of * 1000;
  return `${secondText}${ms < 10 ? "00" : ms < 100 ? "0" : ""}${ms}Z`;
}

/** Each with a comma before it. */
function jsonOf(fields: LogFields): string {
  let text = "";
  let key: keyof LogFields;
  // Without a list of its entries.
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
