/** Judges a replay: provider calls, answers to the program, the state afterwards. Each problem is one line. */
import type { ResourceState } from "../../engine/resource.ts";
import { parseUrn } from "../../engine/resource.ts";
import type { Value } from "../../engine/values.ts";
import { isMap } from "../../engine/values.ts";
import type { ReadCheckpoint } from "./replay-checkpoint.ts";
import type { Comparison } from "./replay-compare.ts";
import { describe, differences, distance, plain } from "./replay-compare.ts";
import type { RecordedCall } from "./replay-recording.ts";
import type { Replay } from "./replay-run.ts";
import type { MonitorCall } from "./replay-wire.ts";
import { monitorKey } from "./replay-wire.ts";

function text(value: Value | undefined): string {
  return typeof value === "string" ? value : "";
}

function shortName(request: Value): string {
  if (!isMap(request)) return "";
  return text(request.urn) || text(request.tok) || text(request.name);
}

/** Every call to a provider, all fields; and for each resource (not: URN, which a replaced one shares) in the recorded order. */
export function verifyProviderCalls({ players, recorded, before }: Replay): string[] {
  const problems = [...players.problems];
  for (const call of players.missing()) {
    problems.push(`${call.pkg} ${call.method} ${shortName(call.request)}: was called in the recording, not here`);
  }
  const key = ({ request }: { request: Value }) => {
    const urn = isMap(request) ? text(request.urn) : "";
    if (urn === "" || !isMap(request)) return undefined;
    // A provider's id is new; two copies of one resource are worked on independently.
    if (parseUrn(urn).type.startsWith("pulumi:providers:")) return urn;
    return before.resources.filter((state) => state.urn === urn).length > 1 ? undefined : `${urn} ${text(request.id)}`;
  };
  const sequences = <Call extends { method: string; request: Value }>(calls: Call[]) => {
    const byUrn = new Map<string, string[]>();
    for (const call of calls) {
      const urn = key(call);
      if (urn) byUrn.set(urn, [...(byUrn.get(urn) ?? []), call.method]);
    }
    return byUrn;
  };
  const wanted = sequences(recorded.calls.filter((call) => call.service === "ResourceProvider"));
  const ours = sequences(players.played);
  for (const [urn, methods] of wanted) {
    const had = (ours.get(urn) ?? []).join(" ");
    if (had !== methods.join(" ")) problems.push(`order of calls for ${urn}: recorded ${methods.join(" ")}, ours ${had}`);
  }
  return problems;
}

interface Span {
  method: string;
  request: Value;
  began: number;
  ended?: number;
}

/** True where the resource that `first` deletes was gone before `second` began. */
function deletedFirst(calls: Span[], first: ResourceState, second: ResourceState): boolean | undefined {
  const deletion = (state: ResourceState) =>
    calls.find(
      ({ method, request }) => method === "Delete" && isMap(request) && request.urn === state.urn && request.id === state.id,
    );
  const one = deletion(first);
  const other = deletion(second);
  return one && other && (one.ended ?? Number.POSITIVE_INFINITY) < other.began;
}

/** What was deleted after all that depended on it is so here. */
export function verifyDeletionOrder({ players, recorded, before }: Replay): string[] {
  const problems: string[] = [];
  const calls = recorded.calls.filter((call) => call.service === "ResourceProvider");
  for (const state of before.resources) {
    for (const dependency of state.dependencies ?? []) {
      const target = before.resources.find((other) => other.urn === dependency && !other.delete);
      if (!target || !deletedFirst(calls, state, target)) continue;
      if (deletedFirst(players.played, state, target) === false) {
        problems.push(`${dependency} was deleted before ${state.urn}, which depends on it`);
      }
    }
  }
  return problems;
}

/** What the program asked, and what it was answered. */
export function verifyMonitor({ recorded, monitor, comparison }: Replay): string[] {
  const problems: string[] = [];
  const free: MonitorCall[] = [...monitor];
  for (const call of recorded.calls) {
    if (call.service !== "ResourceMonitor") continue;
    const key = monitorKey(call.method, call.request);
    const candidates = free.filter((ours) => monitorKey(ours.method, ours.request) === key);
    const best = nearest(call, candidates, comparison);
    if (!best) {
      problems.push(`${key}: the program asked this in the recording, not here`);
      continue;
    }
    free.splice(free.indexOf(best), 1);
    for (const difference of differences(call.request, best.request, comparison)) {
      problems.push(`${key}: request ${describe(difference)}`);
    }
    if (call.ended === undefined) {
      if (best.response) problems.push(`${key}: was answered, in the recording never`);
      continue;
    }
    if (call.error) {
      if (best.error?.message !== call.error.message) {
        problems.push(`${key}: recorded error ${call.error.message}, ours ${best.error?.message ?? "none"}`);
      }
      continue;
    }
    if (!best.response) {
      problems.push(`${key}: was not answered${best.error ? ` (${best.error.code}: ${best.error.message})` : ""}`);
      continue;
    }
    for (const difference of differences(call.response ?? {}, best.response, comparison)) {
      problems.push(`${key}: answer ${describe(difference)}`);
    }
  }
  for (const ours of free)
    problems.push(`${monitorKey(ours.method, ours.request)}: the program did not ask this in the recording`);
  return problems;
}

function nearest(call: RecordedCall, candidates: MonitorCall[], comparison: Comparison): MonitorCall | undefined {
  if (candidates.length < 2) return candidates[0];
  const ranked = candidates
    .map((ours) => ({ ours, distance: distance(call.request, ours.request, comparison) }))
    .sort((a, b) => a.distance - b.distance);
  return ranked[0]?.ours;
}

function references(state: ResourceState): string[] {
  const provider = state.provider?.slice(0, state.provider.lastIndexOf("::"));
  return [
    ...(state.dependencies ?? []),
    ...Object.values(state.propertyDependencies ?? {}).flatMap((urns) => urns ?? []),
    ...(state.parent ? [state.parent] : []),
    ...(provider ? [provider] : []),
    ...(state.deletedWith ? [state.deletedWith] : []),
  ];
}

/** The state afterwards: the same resources, each equal, listed with dependencies before dependents. */
export function verifyState(replay: Replay): string[] {
  const { options, after, written: snapshot, comparison } = replay;
  if (options.dryRun) return snapshot ? ["a preview wrote state"] : [];
  if (!snapshot) return ["no state was written"];
  const problems: string[] = [];
  const free = [...snapshot.resources];
  for (const recorded of after.resources) {
    const same = free.filter((state) => state.urn === recorded.urn && (state.delete ?? false) === (recorded.delete ?? false));
    const best = same
      .map((state) => ({ state, distance: distance(plain(recorded), plain(state), comparison) }))
      .sort((a, b) => a.distance - b.distance)[0]?.state;
    if (!best) {
      problems.push(`state: ${recorded.urn}${recorded.delete ? " (to be deleted)" : ""} is missing`);
      continue;
    }
    free.splice(free.indexOf(best), 1);
    for (const difference of differences(plain(recorded), plain(best), comparison)) {
      problems.push(`state: ${recorded.urn}: ${describe(difference)}`);
    }
  }
  for (const state of free)
    problems.push(`state: ${state.urn}${state.delete ? " (to be deleted)" : ""} is not in the recording`);
  const pending = differences(plain(after.pendingOperations), plain(snapshot.pendingOperations), comparison);
  problems.push(...pending.map((difference) => `pending operations: ${describe(difference)}`));
  const metadata = differences(plain(after.metadata ?? {}), plain(snapshot.metadata ?? {}), comparison);
  problems.push(...metadata.map((difference) => `metadata: ${describe(difference)}`));
  const frame = (state: ReadCheckpoint) =>
    plain({ version: state.version, features: state.features, stack: state.stack, manifest: state.manifest, salt: state.salt });
  problems.push(...differences(frame(after), frame(snapshot), comparison).map((difference) => `file: ${describe(difference)}`));
  const seen = new Set<string>();
  const known = new Set(snapshot.resources.map((state) => state.urn));
  for (const state of snapshot.resources) {
    for (const urn of references(state)) {
      if (known.has(urn) && !seen.has(urn)) problems.push(`state: ${state.urn} stands before ${urn}, to which it refers`);
    }
    seen.add(state.urn);
  }
  return problems;
}

/** Whether it ended as recorded. */
export function verifyOutcome({ step, result, options }: Replay): string[] {
  if (step.killAt) return [];
  const wanted = !(step.fails ?? false) || options.dryRun;
  return result?.ok === wanted ? [] : [`ok is ${result?.ok}, recorded ${wanted}`];
}

export function verify(replay: Replay): string[] {
  return [
    ...verifyOutcome(replay),
    ...verifyProviderCalls(replay),
    ...verifyDeletionOrder(replay),
    ...verifyMonitor(replay),
    ...verifyState(replay),
  ];
}
