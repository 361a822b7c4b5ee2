// Counters, gauges and histograms in Prometheus' text format, with a bound on their label sets.

export interface Counter {
  add(amount?: number, ...labels: readonly string[]): void;
  /** One label set, for good: what each request counts does not look it up. It is shown once it was counted. */
  at(...labels: readonly string[]): BoundCounter;
}
export interface Gauge {
  add(amount?: number, ...labels: readonly string[]): void;
  set(value: number, ...labels: readonly string[]): void;
  at(...labels: readonly string[]): BoundGauge;
}
export interface Histogram {
  observe(value: number, ...labels: readonly string[]): void;
  at(...labels: readonly string[]): BoundHistogram;
}
export type BoundCounter = Pick<BoundValue, "add">;
export type BoundGauge = Pick<BoundValue, "add" | "set">;
export type BoundHistogram = Pick<BoundBuckets, "observe">;

export interface Registry {
  counter(name: string, help: string, labels?: readonly string[]): Counter;
  gauge(name: string, help: string, labels?: readonly string[], collect?: () => number): Gauge;
  histogram(name: string, help: string, buckets: readonly number[], labels?: readonly string[]): Histogram;
  names(): readonly string[];
  /** The exposition text in small pieces, so that the caller may pause between them; a label set is never torn. */
  render(): Generator<string>;
}

/** Labels come from configs and bounded lists; beyond this many sets a metric counts into "other". */
const maxSeries = 2000;
/** Of a piece of the exposition text: written in a fraction of a millisecond. */
const pieceChars = 16_384;

export function createRegistry(): Registry {
  const metrics = new Map<string, { readonly head: string; readonly body: () => Iterable<string> }>();
  const add = (name: string, type: string, help: string, body: () => Iterable<string>): void => {
    if (metrics.has(name)) throw new Error(`metric ${name} is declared twice`);
    metrics.set(name, { head: `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`, body });
  };

  function values(name: string, labels: readonly string[]) {
    const series = createSeries(labels, newValue);
    if (labels.length === 0) series.of([]);
    return {
      series,
      body: () => series.map((key, entry) => `${name}${key} ${number(entry.value)}\n`),
      add: (amount = 1, ...at: readonly string[]): void => {
        series.of(at).value += amount;
      },
      at: (...labels: readonly string[]) => new BoundValue(series, labels),
    };
  }

  return {
    counter(name, help, labels = []) {
      const { body, add: count, at } = values(name, labels);
      add(name, "counter", help, body);
      return { add: count, at };
    },
    gauge(name, help, labels = [], collect) {
      const { series, body, add: count, at } = values(name, labels);
      add(name, "gauge", help, () => {
        if (collect) series.of([]).value = collect();
        return body();
      });
      return {
        add: count,
        at,
        set: (value, ...labels) => {
          series.of(labels).value = value;
        },
      };
    },
    histogram(name, help, buckets, labels = []) {
      const limits = Float64Array.from(buckets);
      const series = createSeries(labels, () => ({ limits, counts: new Float64Array(limits.length + 1), sum: 0 }));
      add(name, "histogram", help, () =>
        series.map((key, { counts, sum }) => {
          const open = key === "" ? "{" : `${key.slice(0, -1)},`;
          let total = 0;
          let lines = "";
          for (let index = 0; index < counts.length; index += 1) {
            total += counts[index] ?? 0;
            lines += `${name}_bucket${open}le="${index < buckets.length ? buckets[index] : "+Inf"}"} ${total}\n`;
          }
          return `${lines}${name}_sum${key} ${number(sum)}\n${name}_count${key} ${total}\n`;
        }),
      );
      return {
        observe: (value, ...at) => note(series.of(at), value),
        at: (...at) => new BoundBuckets(series, at),
      };
    },
    names: () => [...metrics.keys()],
    *render() {
      let piece = "";
      for (const { head, body } of metrics.values()) {
        piece += head;
        for (const text of body()) {
          piece += text;
          if (piece.length < pieceChars) continue;
          yield piece;
          piece = "";
        }
      }
      if (piece !== "") yield piece;
    },
  };
}

interface Value {
  value: number;
}
interface Buckets {
  /** Of each bucket, rising. */
  readonly limits: Float64Array;
  readonly counts: Float64Array;
  sum: number;
}

const newValue = (): Value => ({ value: 0 });

function note(into: Buckets, value: number): void {
  const { limits, counts } = into;
  let low = 0;
  let high = limits.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value > (limits[middle] ?? 0)) low = middle + 1;
    else high = middle;
  }
  counts[low] = (counts[low] ?? 0) + 1;
  into.sum += value;
}

interface Source<Entry> {
  of(values: readonly string[]): Entry;
}

class BoundValue {
  private readonly source: Source<Value>;
  private readonly labels: readonly string[];
  private entry: Value | undefined;
  constructor(source: Source<Value>, labels: readonly string[]) {
    this.source = source;
    this.labels = labels;
  }
  add(amount = 1): void {
    this.entry ??= this.source.of(this.labels);
    this.entry.value += amount;
  }
  set(value: number): void {
    this.entry ??= this.source.of(this.labels);
    this.entry.value = value;
  }
}

class BoundBuckets {
  private readonly source: Source<Buckets>;
  private readonly labels: readonly string[];
  private entry: Buckets | undefined;
  constructor(source: Source<Buckets>, labels: readonly string[]) {
    this.source = source;
    this.labels = labels;
  }
  observe(value: number): void {
    this.entry ??= this.source.of(this.labels);
    note(this.entry, value);
  }
}

interface Made<Entry> {
  readonly key: string;
  readonly entry: Entry;
}

/** By one label after the other: looking a set up makes no text, which each request would do a dozen times. */
interface Node<Entry> {
  readonly next: Map<string, Node<Entry>>;
  made: Made<Entry> | undefined;
}

function createSeries<Entry>(labels: readonly string[], make: () => Entry) {
  const all: Made<Entry>[] = [];
  const createNode = (): Node<Entry> => ({ next: new Map(), made: undefined });
  const root = createNode();

  function add(values: readonly string[]): Entry {
    if (all.length >= maxSeries && !values.every((value) => value === "other")) return of(labels.map(() => "other"));
    const pairs = labels.map((label, index) => `${label}="${escapeLabel(values[index] ?? "")}"`);
    const made = { key: pairs.length > 0 ? `{${pairs.join(",")}}` : "", entry: make() };
    let node = root;
    for (const value of values) {
      const next = node.next.get(value) ?? createNode();
      node.next.set(value, next);
      node = next;
    }
    node.made = made;
    all.push(made);
    return made.entry;
  }

  function of(values: readonly string[]): Entry {
    let node: Node<Entry> | undefined = root;
    for (let index = 0; index < values.length && node; index += 1) node = node.next.get(values[index] ?? "");
    return node?.made?.entry ?? add(values);
  }

  return {
    of,
    *map(line: (key: string, entry: Entry) => string): Generator<string> {
      for (const { key, entry } of all) yield line(key, entry);
    },
  };
}

const escapeLabel = (value: string): string => value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
const number = (value: number): string => (Number.isFinite(value) ? String(value) : value > 0 ? "+Inf" : "NaN");
