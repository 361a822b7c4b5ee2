/**
 * A provider of ours beside the player of recorded answers: it gets the same calls, in the words of the system that it works on,
 * and must answer the same. The engine goes on with the recorded answer.
 */
import { type Provider, ProviderError, type ProviderHost, type ProviderLog } from "../../engine/providers/provider.ts";
import { isMap, type PropertyMap, type Value } from "../../engine/values.ts";
import { callProvider } from "./provider-call.ts";
import { type Replay, replayStep } from "./replay-run.ts";
import type { ReplayStep } from "./replay-steps.ts";
import { type Problem, verify } from "./replay-verify.ts";

interface Beside {
  /** Only of this package; the others are played alone. */
  pkg: string;
  create(log: (entry: ProviderLog) => void): Provider;
  /** A recorded request as it would have been made here. */
  ours(method: string, request: object): PropertyMap;
  /** Throws where they differ by more than what a system decides by chance. Errors have the name `error`. */
  compare(method: string, recorded: PropertyMap, own: PropertyMap): void;
  differences: string[];
  logs: ProviderLog[];
}

/** One step with our provider beside the players: the replay, what is wrong with it and with our answers, and what ours logged. */
export async function replayBeside(
  step: ReplayStep,
  provider: Pick<Beside, "pkg" | "ours" | "compare"> & {
    create(programDirectory: string, log: (entry: ProviderLog) => void): Provider;
  },
): Promise<{ replay: Replay; wrong: string[]; logs: ProviderLog[] }> {
  const differences: string[] = [];
  const logs: ProviderLog[] = [];
  const [replay] = await replayStep(step, (players, directory) =>
    beside(players, { ...provider, create: (log) => provider.create(directory, log), differences, logs }),
  );
  if (!replay) throw new Error(`${step.step} has no deployment`);
  const problems: Problem[] = verify(replay);
  const wrong = problems.filter((problem) => !(step.races && problem.chance)).map((problem) => problem.text);
  return { replay, wrong: [...differences, ...wrong], logs };
}

function beside(players: ProviderHost, notes: Beside): ProviderHost {
  return {
    async load(pkg, version, log) {
      const player = await players.load(pkg, version, log);
      if (pkg !== notes.pkg) return player;
      const ours = notes.create((entry) => notes.logs.push(entry));
      const both = async <T>(method: string, request: object, signal: AbortSignal, play: () => Promise<T>): Promise<T> => {
        const [recorded, own] = await Promise.allSettled([
          play(),
          callProvider(ours, method, notes.ours(method, request), signal),
        ]);
        const urn = "urn" in request ? String(request.urn) : "";
        try {
          notes.compare(method, outcome(recorded), outcome(own));
        } catch (error) {
          const said = error instanceof Error ? error.message : String(error);
          notes.differences.push(`${method} ${urn.slice(urn.lastIndexOf("::") + 2)}: ${said}`);
        }
        if (recorded.status === "rejected") throw recorded.reason;
        return recorded.value;
      };
      const never = new AbortController().signal;
      return {
        handshake: async (request) =>
          await both("Handshake", request, never, async () => (await player.handshake?.(request)) ?? {}),
        getPluginInfo: () => player.getPluginInfo(),
        checkConfig: (request) => both("CheckConfig", request, never, () => player.checkConfig(request)),
        diffConfig: (request) => player.diffConfig(request),
        configure: (request) => both("Configure", request, never, () => player.configure(request)),
        check: (request) => both("Check", request, never, () => player.check(request)),
        diff: (request) => both("Diff", request, never, () => player.diff(request)),
        create: (request, signal) => both("Create", request, signal, () => player.create(request, signal)),
        read: (request, signal) => both("Read", request, signal, () => player.read(request, signal)),
        update: (request, signal) => both("Update", request, signal, () => player.update(request, signal)),
        delete: (request, signal) => both("Delete", request, signal, () => player.delete(request, signal)),
        invoke: (request) => both("Invoke", request, never, () => player.invoke(request)),
        async cancel() {
          await Promise.all([player.cancel(), ours.cancel()]);
        },
        async close() {
          await Promise.all([player.close(), ours.close()]);
        },
      };
    },
  };
}

/** As the wire would have it; only a provider's own errors are answers. */
function outcome(settled: PromiseSettledResult<unknown>): PropertyMap {
  if (settled.status === "rejected") {
    const { reason } = settled;
    if (!(reason instanceof ProviderError)) throw reason;
    return { error: reason.code === "unimplemented" ? reason.code : reason.message };
  }
  const value: Value = JSON.parse(JSON.stringify(settled.value ?? {}));
  if (!isMap(value)) throw new Error("an answer is no object");
  return value;
}
