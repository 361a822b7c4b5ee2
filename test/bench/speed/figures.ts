// The rows of the table: what is run against whom, and what is made of it.
import { type Contender, models, token } from "./contenders.ts";
import type { Load, Run, RunLoad, Work } from "./load.ts";

export interface Contenders {
  readonly ours: Contender;
  readonly nginx: Contender;
  readonly portkey: Contender;
}

export interface Figure {
  readonly work: string;
  readonly floor: number;
  readonly goal: number;
  readonly measured: number;
  /** "×", "µs" …, after the number. */
  readonly unit: string;
  /** Smaller is better. */
  readonly below: boolean;
  readonly detail: string;
}

interface Scenario {
  readonly load: Load;
  readonly runs: Readonly<Partial<Record<keyof Contenders, Work>>>;
}

const chatBody = (model: string, bytes: number, stream = false): object => ({
  model,
  ...(stream ? { stream } : {}),
  messages: [
    { role: "system", content: "You are a helpful assistant." },
    { role: "user", content: "x".repeat(bytes - 110) },
  ],
});
const chatPath = "/v1/chat/completions";
const authorization = { authorization: `Bearer ${token}` };

function scenarios(upstreamPort: number): Record<string, Scenario> {
  const ours = (model: string, bytes: number, stream = false): Work => ({
    path: chatPath,
    body: chatBody(model, bytes, stream),
    headers: authorization,
  });
  const portkey = (provider: string): Work => ({
    path: chatPath,
    body: { ...chatBody(models.chat, 1024), max_tokens: 1024 },
    headers: {
      ...authorization,
      "x-portkey-provider": provider,
      "x-portkey-custom-host": `http://127.0.0.1:${upstreamPort}/v1`,
    },
  });
  const small = ours(models.chat, 1024);
  const large = ours(models.large, 65_536);
  const streamed = ours(models.chat, 400, true);
  const at64: Load = { mode: "closed", connections: 64 };
  return {
    chat: { load: at64, runs: { ours: small, nginx: small, portkey: portkey("openai") } },
    // Portkey has no translation of chat into responses: it stands beside its translation into messages.
    responses: { load: at64, runs: { ours: ours(models.responses, 1024), portkey: portkey("anthropic") } },
    messages: { load: at64, runs: { ours: ours(models.messages, 1024), portkey: portkey("anthropic") } },
    latency: { load: { mode: "open", connections: 64, perSecond: 3000 }, runs: { ours: small, nginx: small } },
    large: { load: { mode: "closed", connections: 16 }, runs: { ours: large, nginx: { ...large, path: `/large${chatPath}` } } },
    streams: { load: { mode: "streams", connections: 256 }, runs: { ours: streamed, nginx: streamed } },
    memory: { load: { mode: "closed", connections: 256 }, runs: { ours: small } },
    manyStreams: { load: { mode: "streams", connections: 1024 }, runs: { ours: streamed, nginx: streamed } },
  };
}

/** By scenario and contender, one run a round. */
export type Runs = Map<string, Map<keyof Contenders, Run[]>>;
const names = ["ours", "nginx", "portkey"] as const;

export async function runRounds(
  contenders: Contenders,
  upstreamPort: number,
  rounds: number,
  run: RunLoad,
  only: string | undefined,
): Promise<Runs> {
  const found: Runs = new Map();
  const chosen = Object.entries(scenarios(upstreamPort)).filter(([name]) =>
    only === undefined ? name !== "memory" : only.split(",").includes(name),
  );
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, { load, runs }] of chosen) {
      const ofScenario = found.get(name) ?? new Map<keyof Contenders, Run[]>();
      found.set(name, ofScenario);
      for (const who of names) {
        const work = runs[who];
        if (!work) continue;
        let result = await run(contenders[who], load, work);
        console.error(`round ${round + 1} ${name} ${who}: ${say(result)}`);
        for (let again = 0; again < mostRepeats && result.stolen > mostStolen; again += 1) {
          const other = await run(contenders[who], load, work);
          console.error(`round ${round + 1} ${name} ${who}, once more: ${say(other)}`);
          if (other.stolen < result.stolen) result = other;
        }
        const list = ofScenario.get(who) ?? [];
        ofScenario.set(who, [...list, result]);
      }
    }
  }
  return found;
}

/** A run, whoever's, that lost more of its time to others on the same host is repeated; the one that lost least counts. */
const mostStolen = 0.02;
const mostRepeats = 4;

/** Programs in JavaScript are compiled while they run: what is measured is what they reach after some ten thousand calls. */
const mostWarmUps = 8;
const settled = 1.04;

/** Each work is asked for until its rate grows no more. */
export async function warmUp(
  contenders: Contenders,
  upstreamPort: number,
  run: RunLoad,
  only: string | undefined,
): Promise<void> {
  const wanted = (only ?? "chat,responses,messages,large").split(",");
  for (const [name, { load, runs }] of Object.entries(scenarios(upstreamPort))) {
    if (!wanted.includes(name)) continue;
    for (const who of names) {
      const work = runs[who];
      let best = 0;
      let inVain = 0;
      for (let count = 0; work && inVain < (who === "nginx" ? 1 : 2) && count < mostWarmUps; count += 1) {
        const result = await run(contenders[who], load, work);
        const reached = result.perSecond + result.eventsPerSecond;
        console.error(`warming up ${name} ${who}: ${say(result)}`);
        inVain = reached < best * settled ? inVain + 1 : 0;
        best = Math.max(best, reached);
      }
    }
  }
}

function say({ perSecond, eventsPerSecond, p50us, p99us, cpuUs, busy, stolen }: Run): string {
  const rate = eventsPerSecond > 0 ? `${eventsPerSecond.toFixed(0)} chunks/s` : `${perSecond.toFixed(0)}/s`;
  const times = eventsPerSecond > 0 ? "" : `, p50 ${p50us} µs, p99 ${p99us} µs`;
  return `${rate}${times}, ${cpuUs.toFixed(1)} µs of processor each (${(busy * 100).toFixed(0)} % busy, ${(stolen * 100).toFixed(0)} % stolen)`;
}

export function figuresOf(found: Runs): Figure[] {
  const of = (scenario: string, who: keyof Contenders): Run[] => found.get(scenario)?.get(who) ?? [];
  const middle = (scenario: string, who: keyof Contenders, value: (run: Run) => number): number =>
    median(of(scenario, who).map(value));
  /** Of each round, so that what slows the whole machine down slows both. */
  const over = (scenario: string, other: keyof Contenders, value: (ours: Run, other: Run) => number): number =>
    median(
      of(scenario, "ours").flatMap((run, round) => {
        const beside = of(scenario, other)[round];
        return beside ? [value(run, beside)] : [];
      }),
    );
  const beside = (scenario: string, other: keyof Contenders): string =>
    `${Math.round(middle(scenario, "ours", rate))}/s beside ${Math.round(middle(scenario, other, rate))}/s; ${cpu(scenario, "ours")} and ${cpu(scenario, other)} µs of processor each`;
  const cpu = (scenario: string, who: keyof Contenders): string => middle(scenario, who, (run) => run.cpuUs).toFixed(1);
  const more = (scenario: string, other: keyof Contenders): number =>
    over(scenario, other, (ours, its) => rate(ours) / rate(its));
  const all: (Figure & { readonly scenario: string })[] = [
    times("chat", "chat, 1 KB JSON, c=64, × nginx requests/s", 0.3, 0.45, "nginx"),
    times("chat", "same, × Portkey", 6, 12, "portkey"),
    times("responses", "chat client → openai-responses, c=64, × Portkey's translation to messages", 3, 6, "portkey"),
    times("messages", "chat client → anthropic-messages, c=64, × Portkey's same translation", 3, 6, "portkey"),
    {
      scenario: "latency",
      work: "added latency at 3,000 requests/s, p50 over nginx",
      floor: 100,
      goal: 50,
      measured: over("latency", "nginx", (ours, its) => ours.p50us - its.p50us),
      unit: " µs",
      below: true,
      detail: `${middle("latency", "ours", (run) => run.p50us)} beside ${middle("latency", "nginx", (run) => run.p50us)} µs`,
    },
    times("large", "64 KB bodies, c=16, × nginx requests/s", 0.35, 0.5, "nginx"),
    {
      scenario: "large",
      work: "same, p99",
      floor: 5,
      goal: 3,
      measured: middle("large", "ours", (run) => run.p99us / 1000),
      unit: " ms",
      below: true,
      detail: `nginx ${middle("large", "nginx", (run) => run.p99us / 1000).toFixed(2)} ms`,
    },
    {
      scenario: "streams",
      work: "256 streams × 50 chunks/s: CPU per chunk, × nginx",
      floor: 2,
      goal: 1.5,
      measured: over("streams", "nginx", (ours, its) => ours.cpuUs / its.cpuUs),
      unit: " ×",
      below: true,
      detail: beside("streams", "nginx"),
    },
    times("manyStreams", "1,024 streams: chunks/s, × nginx", 0.65, 0.85, "nginx"),
  ];
  return all.filter(({ scenario }) => found.has(scenario));

  function times(scenario: string, work: string, floor: number, goal: number, other: keyof Contenders) {
    const detail = beside(scenario, other);
    return { scenario, work, floor, goal, measured: more(scenario, other), unit: " ×", below: false, detail };
  }
}

const rate = (run: Run): number => (run.eventsPerSecond > 0 ? run.eventsPerSecond : run.perSecond);

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = Math.floor(sorted.length / 2);
  const upper = sorted[at] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[at - 1] ?? upper)) / 2;
}
