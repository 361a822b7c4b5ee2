// Figures of several processes as those of one gateway: counters are added up, gauges by what they mean.

/** One process's figures, as it renders them. */
export interface Family {
  readonly help: string;
  readonly type: string;
  /** By name and labels, in the order of the text. */
  readonly samples: Map<string, number>;
}
export type Families = Map<string, Family>;

/** Gauges of which each process has a part; of all others each tells the same thing, and the highest is shown. */
export const addedGauges: ReadonlySet<string> = new Set([
  "openclaw_gateway_connections_active",
  "openclaw_llm_requests_active",
  "openclaw_cache_bytes",
  "openclaw_cache_entries",
  "openclaw_queue_lane_size",
]);
/** Gauges whose bad news is the lowest value. */
export const lowestGauges: ReadonlySet<string> = new Set([
  "openclaw_config_valid",
  "openclaw_upstream_up",
  "openclaw_budget_left",
]);
/** Gauges that say something of one process. */
const ofProcess = /^(process|nodejs)_/;

export function parseFigures(text: string): Families {
  const families: Families = new Map();
  let current: Family | undefined;
  let help = "";
  for (const line of text.split("\n")) {
    if (line === "") continue;
    if (line.startsWith("# HELP ")) help = line.slice(line.indexOf(" ", 7) + 1);
    else if (line.startsWith("# TYPE ")) {
      const [, , name = "", type = ""] = line.split(" ");
      current = { help, type, samples: new Map() };
      families.set(name, current);
    } else {
      const at = line.lastIndexOf(" ");
      current?.samples.set(line.slice(0, at), Number(line.slice(at + 1)));
    }
  }
  return families;
}

/** `by` is the process's name, in the label `worker` of what is its own. */
export interface Source {
  readonly by: string;
  readonly families: Families;
}

export function mergeFigures(sources: readonly Source[]): Families {
  const merged: Families = new Map();
  for (const { by, families } of sources) {
    for (const [name, { help, type, samples }] of families) {
      const into = merged.get(name) ?? { help, type, samples: new Map<string, number>() };
      merged.set(name, into);
      const own = type === "gauge" && ofProcess.test(name);
      const join = type === "gauge" ? joinOf(name) : add;
      for (const [key, value] of samples) {
        const at = own ? withWorker(key, by) : key;
        const before = into.samples.get(at);
        into.samples.set(at, before === undefined ? value : join(before, value));
      }
    }
  }
  return merged;
}

/** What is left of a process that is gone: a counter must not fall, or it looks like new events. */
export function onlyCounters(families: Families): Families {
  return new Map([...families].filter(([, { type }]) => type !== "gauge"));
}

export function* renderFigures(families: Families): Generator<string> {
  for (const [name, { help, type, samples }] of families) {
    let text = `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    for (const [key, value] of samples) text += `${key} ${textOf(value)}\n`;
    yield text;
  }
}

const add = (a: number, b: number): number => a + b;

function joinOf(name: string): (a: number, b: number) => number {
  if (addedGauges.has(name)) return add;
  return lowestGauges.has(name) ? Math.min : Math.max;
}

const withWorker = (key: string, by: string): string =>
  key.endsWith("}") ? `${key.slice(0, -1)},worker="${by}"}` : `${key}{worker="${by}"}`;

const textOf = (value: number): string =>
  value === Number.POSITIVE_INFINITY ? "+Inf" : value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
