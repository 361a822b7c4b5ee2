/**
 * Providers that answer with what the official ones answered. Each call is matched with the recorded call that it equals (all
 * fields, but for the exceptions); where none is equal, with the nearest of the same method and resource, and the differences
 * are reported.
 */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import type { Provider, ProviderHost, ProviderLog } from "../../engine/providers/provider.ts";
import { ProviderError } from "../../engine/providers/provider.ts";
import type { PropertyMap, Value } from "../../engine/values.ts";
import { isMap } from "../../engine/values.ts";
import type { Comparison } from "./replay-compare.ts";
import { describe, differences, distance, plain } from "./replay-compare.ts";
import type { RecordedCall } from "./replay-recording.ts";

export interface PlayedCall {
  pkg: string;
  /** Which of the loaded providers was asked. */
  instance: number;
  method: string;
  request: Value;
  recorded?: RecordedCall;
  /** Order of beginnings and ends among all played calls. */
  began: number;
  ended?: number;
}

/** What a provider said while it worked on a call: it is not in the messages, only in what was printed. */
export interface PlayedLog {
  method: string;
  /** The resource's name, or the function's. */
  name: string;
  severity: ProviderLog["severity"];
  message: string;
  ephemeral?: boolean;
}

export interface PlayerOptions {
  calls: RecordedCall[];
  /** Calls of other steps, for what a step that failed in the recording did not reach. */
  elsewhere: RecordedCall[];
  comparison: Comparison;
  logs: PlayedLog[];
  /** Answers in the recorded order, which decides the races of a step that fails. */
  ordered: boolean;
  /** True as long as an answer whose turn it is has to wait for something else that was earlier in the recording. */
  isHeld?(call: RecordedCall): boolean;
  /** Called as a call arrives; a step that is interrupted uses it. Its promise holds the answer back. */
  onCall?(call: PlayedCall): Promise<void> | undefined;
  /** For errors that carry more than their text (gRPC details, which the recordings lack). */
  failure?(call: RecordedCall): ProviderError | undefined;
}

export interface Players {
  host: ProviderHost;
  played: PlayedCall[];
  problems: string[];
  /** Recorded calls that were never made. */
  missing(): RecordedCall[];
}

const map = z.custom<PropertyMap>((value) => typeof value === "object" && value !== null && !Array.isArray(value));
const strings = z.array(z.string());
const failures = z.array(z.strictObject({ property: z.string().optional(), reason: z.string().optional() }));
const detailedDiff = z.record(
  z.string(),
  z.strictObject({
    kind: z.enum(["ADD", "ADD_REPLACE", "DELETE", "DELETE_REPLACE", "UPDATE", "UPDATE_REPLACE"]).optional(),
    inputDiff: z.boolean().optional(),
  }),
);
/** Strict: a recorded field that the contract lacks is an error. */
const answers = {
  Handshake: z.strictObject({
    acceptSecrets: z.boolean().optional(),
    acceptResources: z.boolean().optional(),
    acceptOutputs: z.boolean().optional(),
    supportsAutonamingConfiguration: z.boolean().optional(),
    requiresByteString: z.boolean().optional(),
    acceptsByteString: z.boolean().optional(),
  }),
  GetPluginInfo: z.strictObject({ version: z.string().optional() }),
  CheckConfig: z.strictObject({ inputs: map.optional(), failures: failures.optional() }),
  Configure: z.strictObject({
    acceptSecrets: z.boolean().optional(),
    supportsPreview: z.boolean().optional(),
    acceptResources: z.boolean().optional(),
    acceptOutputs: z.boolean().optional(),
    supportsAutonamingConfiguration: z.boolean().optional(),
  }),
  Diff: z.strictObject({
    replaces: strings.optional(),
    stables: strings.optional(),
    deleteBeforeReplace: z.boolean().optional(),
    changes: z.enum(["DIFF_UNKNOWN", "DIFF_NONE", "DIFF_SOME"]).optional(),
    diffs: strings.optional(),
    detailedDiff: detailedDiff.optional(),
    hasDetailedDiff: z.boolean().optional(),
  }),
  Create: z.strictObject({
    id: z.string().optional(),
    properties: map.optional(),
    refreshBeforeUpdate: z.boolean().optional(),
  }),
  Read: z.strictObject({
    id: z.string().optional(),
    properties: map.optional(),
    inputs: map.optional(),
    refreshBeforeUpdate: z.boolean().optional(),
  }),
  Update: z.strictObject({ properties: map.optional(), refreshBeforeUpdate: z.boolean().optional() }),
  Invoke: z.strictObject({ return: map.optional(), failures: failures.optional() }),
  Empty: z.strictObject({}),
};

function nameOf(request: Value): string {
  if (!isMap(request)) return "";
  const { urn, tok } = request;
  return typeof urn === "string" ? urn : typeof tok === "string" ? tok : "";
}

interface Instance {
  pkg: string;
  instance: number;
  log: (entry: ProviderLog) => void;
}

export const changing = new Set(["Create", "Update", "Delete"]);
/** How long nothing must move before an answer is given out of turn. */
const patienceMs = 400;

export function createPlayers(options: PlayerOptions): Players {
  const { comparison } = options;
  const free = options.calls.filter((call) => call.service === "ResourceProvider");
  const unanswered = new Set(free.filter((call) => call.ended !== undefined));
  const played: PlayedCall[] = [];
  const problems: string[] = [];
  let clock = 0;
  let lastProgress = Date.now();
  const waiting: number[] = [];

  function match(pkg: string, method: string, request: Value): RecordedCall | undefined {
    const candidates = free.filter(
      (call) => call.pkg === pkg && call.method === method && nameOf(call.request) === nameOf(request),
    );
    const ranked = candidates
      .map((call) => ({ call, distance: distance(call.request, request, comparison) }))
      .sort((a, b) => a.distance - b.distance);
    const best = ranked[0]?.call;
    if (!best) return undefined;
    free.splice(free.indexOf(best), 1);
    for (const difference of differences(best.request, request, comparison)) {
      problems.push(`${method} ${nameOf(request)}: ${describe(difference)}`);
    }
    return best;
  }

  /**
   * Waits until everything that was answered earlier in the recording was answered here. Where nothing moves any more, the
   * one that was answered first goes on: not all that the recording did happens here, and not in the same order.
   */
  async function turn(recorded: RecordedCall | undefined): Promise<void> {
    const end = recorded?.ended ?? Number.POSITIVE_INFINITY;
    const isHeld = () => recorded !== undefined && options.isHeld?.(recorded) === true;
    waiting.push(end);
    while (isHeld() || [...unanswered].some((call) => call !== recorded && (call.ended ?? 0) < end)) {
      if (Date.now() - lastProgress > patienceMs && end === Math.min(...waiting) && !isHeld()) break;
      await delay(5);
    }
    waiting.splice(waiting.indexOf(end), 1);
  }

  async function play({ pkg, instance, log }: Instance, method: string, request: unknown): Promise<Value> {
    const call: PlayedCall = { pkg, instance, method, request: plain(request), began: clock++ };
    played.push(call);
    lastProgress = Date.now();
    const recorded = match(pkg, method, call.request);
    call.recorded = recorded;
    const source = recorded ?? similar(pkg, method, call.request);
    // What only asks may go further than it did in the recording; what changes something may not.
    if (!source || (!recorded && changing.has(method))) {
      problems.push(`${method} ${nameOf(call.request)}: was not called in the recording`);
    }
    await options.onCall?.(call);
    if (options.ordered) await turn(recorded);
    if (recorded) unanswered.delete(recorded);
    lastProgress = Date.now();
    for (const entry of options.logs) {
      if (entry.method === method && nameOf(call.request).endsWith(`:${entry.name}`)) {
        const { severity, message, ephemeral } = entry;
        const urn = nameOf(call.request);
        log({ severity, message, ephemeral, ...(urn.startsWith("urn:") && { urn }) });
      }
    }
    call.ended = clock++;
    if (!source) throw new ProviderError("failed", `${method} ${nameOf(call.request)} was not recorded`);
    if (source.error) {
      const { code, message } = source.error;
      throw options.failure?.(source) ?? new ProviderError(code === "Unimplemented" ? "unimplemented" : "failed", message);
    }
    return source.response ?? {};
  }

  function similar(pkg: string, method: string, request: Value): RecordedCall | undefined {
    if (!options.ordered) return undefined;
    return options.elsewhere.find(
      (call) =>
        call.pkg === pkg &&
        call.method === method &&
        nameOf(call.request) === nameOf(request) &&
        distance(call.request, request, comparison) === 0,
    );
  }

  function player(instance: Instance): Provider {
    const ask = (method: string, request: unknown) => play(instance, method, request);
    return {
      handshake: async (request) => answers.Handshake.parse(await ask("Handshake", request)),
      getPluginInfo: async () => answers.GetPluginInfo.parse(await ask("GetPluginInfo", {})),
      checkConfig: async (request) => answers.CheckConfig.parse(await ask("CheckConfig", request)),
      diffConfig: async (request) => answers.Diff.parse(await ask("DiffConfig", request)),
      configure: async (request) => answers.Configure.parse(await ask("Configure", request)),
      check: async (request) => answers.CheckConfig.parse(await ask("Check", request)),
      diff: async (request) => answers.Diff.parse(await ask("Diff", request)),
      create: async (request) => answers.Create.parse(await ask("Create", request)),
      read: async (request) => answers.Read.parse(await ask("Read", request)),
      update: async (request) => answers.Update.parse(await ask("Update", request)),
      async delete(request) {
        answers.Empty.parse(await ask("Delete", request));
      },
      invoke: async (request) => answers.Invoke.parse(await ask("Invoke", request)),
      async cancel() {
        answers.Empty.parse(await ask("Cancel", {}));
      },
      async close() {},
    };
  }

  let instances = 0;
  return {
    host: { load: async (pkg, _version, log) => player({ pkg, instance: instances++, log }) },
    played,
    problems,
    missing: () => free,
  };
}
