// Reads the three figures of a vLLM's /metrics that say how busy it is, from a text that may hold thousands of others.
// Names and labels: https://docs.vllm.ai/en/stable/usage/metrics/

export interface EngineLoad {
  readonly running: number;
  readonly waiting: number;
  /** 0 to 1; of several engines behind one address their mean. */
  readonly kv: number | undefined;
}

interface Sum {
  running: number | undefined;
  waiting: number | undefined;
  kv: number;
  kvs: number;
}

type Figure = "running" | "waiting" | "kv";

/** The last one is what versions before 0.10 called it. */
const figures: ReadonlyMap<string, Figure> = new Map([
  ["vllm:num_requests_running", "running"],
  ["vllm:num_requests_waiting", "waiting"],
  ["vllm:kv_cache_usage_perc", "kv"],
  ["vllm:gpu_cache_usage_perc", "kv"],
]);

const newline = 0x0a;
const prefix = Buffer.from("vllm:");
/** No line that matters is longer. */
const maxLineBytes = 16 * 1024;

export interface EngineReader {
  push(chunk: Buffer): void;
  /** By model name; several engines of one model (data parallel) are summed. Empty: this was not a vLLM. */
  end(): ReadonlyMap<string, EngineLoad>;
}

/** Takes the text as it comes; keeps no more of it than a line. */
export function createEngineReader(): EngineReader {
  const sums = new Map<string, Sum>();
  let rest: Buffer = Buffer.alloc(0);

  function line(bytes: Buffer, start: number, end: number): void {
    if (bytes.compare(prefix, 0, prefix.length, start, Math.min(start + prefix.length, end)) !== 0) return;
    const text = bytes.toString("utf8", start, end);
    const nameEnd = text.search(/[{ \t]/);
    const figure = nameEnd > 0 ? figures.get(text.slice(0, nameEnd)) : undefined;
    if (!figure) return;
    const value = numberOf(text, nameEnd);
    if (value === undefined) return;
    const model = modelOf(text);
    const sum = sums.get(model) ?? { running: undefined, waiting: undefined, kv: 0, kvs: 0 };
    sums.set(model, sum);
    if (figure === "kv") {
      sum.kv += value;
      sum.kvs += 1;
    } else sum[figure] = (sum[figure] ?? 0) + value;
  }

  return {
    push(chunk) {
      const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
      let start = 0;
      for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
        line(bytes, start, end);
        start = end + 1;
      }
      rest = bytes.length - start > maxLineBytes ? Buffer.alloc(0) : Buffer.from(bytes.subarray(start));
    },
    end() {
      line(rest, 0, rest.length);
      const loads = new Map<string, EngineLoad>();
      for (const [model, { running, waiting, kv, kvs }] of sums) {
        if (running === undefined || waiting === undefined) continue;
        loads.set(model, { running, waiting, kv: kvs > 0 ? kv / kvs : undefined });
      }
      return loads;
    },
  };
}

/** The first word behind the labels; a time may follow it. */
function numberOf(text: string, nameEnd: number): number | undefined {
  const labelsEnd = text[nameEnd] === "{" ? text.lastIndexOf("}") + 1 : nameEnd;
  const word = text.slice(labelsEnd).trim().split(/\s+/)[0];
  const value = word ? Number(word) : Number.NaN;
  return Number.isFinite(value) && value >= 0 ? value : undefined;
}

function modelOf(text: string): string {
  const found = /[{,]\s*model_name="((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? "";
  return found.replace(/\\(.)/g, (_, letter: string) => (letter === "n" ? "\n" : letter));
}
