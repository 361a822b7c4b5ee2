/** Judges a replay: provider calls, answers to the program, the state afterwards. Each problem is one line. */
import type { ResourceState } from "../../engine/resource.ts";
import { parseUrn } from "../../engine/resource.ts";
import type { PropertyMap, Value } from "../../engine/values.ts";
import { isMap } from "../../engine/values.ts";
import type { ReadCheckpoint } from "./replay-checkpoint.ts";
import type { Comparison } from "./replay-compare.ts";
import { describe, differences, distance, plain } from "./replay-compare.ts";
import { changing } from "./replay-player.ts";
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

export interface Problem {
  text: string;
  /** In a step that failed in the recording: how far work beside the failure had come, which nobody decides. */
  chance?: boolean;
}

const wrong = (text: string): Problem => ({ text });

/** The place in the recording at which the first operation had failed. */
function failedAt({ recorded }: Replay): number {
  const failed = recorded.calls.filter((call) => call.error && changing.has(call.method));
  return Math.min(...failed.map((call) => call.ended ?? Number.POSITIVE_INFINITY));
}

/** Every call to a provider, all fields; and for each resource (not: URN, which a replaced one shares) in the recorded order. */
function verifyProviderCalls(replay: Replay): Problem[] {
  const { players, recorded, before } = replay;
  const problems = players.problems.map(wrong);
  for (const call of players.missing()) {
    const text = `${call.pkg} ${call.method} ${shortName(call.request)}: was called in the recording, not here`;
    problems.push({ text, chance: call.began > failedAt(replay) });
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
    const had = ours.get(urn) ?? [];
    const [shorter, longer] = had.length < methods.length ? [had, methods] : [methods, had];
    // What is missing or too much is told above.
    if (shorter.every((method, index) => method === longer[index])) continue;
    problems.push(wrong(`order of calls for ${urn}: recorded ${methods.join(" ")}, ours ${had.join(" ")}`));
  }
  return problems;
}

/** Each resource is worked on by the provider that its state names, and by no other of the same package. */
function verifyInstances({ players, before, after }: Replay): Problem[] {
  const configured = new Map<number, string>();
  for (const { method, instance, request } of players.played) {
    if (method === "Configure" && isMap(request)) configured.set(instance, text(request.urn));
  }
  return players.played.flatMap(({ method, instance, request }) => {
    const urn = isMap(request) ? text(request.urn) : "";
    const states = [...before.resources, ...after.resources].filter((state) => state.urn === urn && state.provider);
    const wanted = states.map((state) => state.provider?.slice(0, state.provider.lastIndexOf("::")));
    const own = configured.get(instance);
    return wanted.length === 0 || wanted.includes(own) ? [] : [wrong(`${method} ${urn}: asked ${own}, not ${wanted[0]}`)];
  });
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
function verifyDeletionOrder({ players, recorded, before }: Replay): Problem[] {
  const problems: Problem[] = [];
  const calls = recorded.calls.filter((call) => call.service === "ResourceProvider");
  for (const state of before.resources) {
    for (const dependency of state.dependencies ?? []) {
      const target = before.resources.find((other) => other.urn === dependency && !other.delete);
      if (!target || !deletedFirst(calls, state, target)) continue;
      if (deletedFirst(players.played, state, target) === false) {
        problems.push(wrong(`${dependency} was deleted before ${state.urn}, which depends on it`));
      }
    }
  }
  return problems;
}

/** Names of resources whose registration ended on one side only, by chance. */
type Unfinished = Set<string>;

/** What the program asked, and what it was answered. */
function verifyMonitor(replay: Replay, unfinished: Unfinished): Problem[] {
  const { recorded, monitor, comparison, events } = replay;
  const failed = new Set(events.flatMap((event) => (event.kind === "resource-failed" ? [event.step.urn] : [])));
  const end = failedAt(replay);
  const problems: Problem[] = [];
  const free: MonitorCall[] = [...monitor];
  const byChance = (key: string, request: PropertyMap, what: string, chance: boolean) => {
    problems.push({ text: `${key}: ${what}`, chance });
    if (!chance) return;
    const aliases = Array.isArray(request.aliases) ? request.aliases : [];
    const specs = aliases.flatMap((alias) => (isMap(alias) && isMap(alias.spec) ? [alias.spec] : []));
    for (const { name } of [request, ...specs]) unfinished.add(text(name));
  };
  for (const call of recorded.calls) {
    if (call.service !== "ResourceMonitor") continue;
    const key = monitorKey(call.method, call.request);
    const candidates = free.filter((ours) => monitorKey(ours.method, ours.request) === key);
    const best = nearest(call, candidates, comparison);
    if (!best) {
      byChance(key, call.request, "the program asked this in the recording, not here", call.began > end);
      continue;
    }
    free.splice(free.indexOf(best), 1);
    const told = (what: string, one: Value, other: Value) =>
      differences(one, other, comparison).map((difference) => wrong(`${key}: ${what} ${describe(difference)}`));
    problems.push(...told("request", call.request, best.request));
    if (call.ended === undefined) {
      // What depends on a failed resource is never run; the rest may have come further.
      const dependencies = Array.isArray(best.request.dependencies) ? best.request.dependencies : [];
      const blocked = dependencies.some((urn) => failed.has(text(urn))) || failed.has(text(best.response?.urn));
      if (best.response) byChance(key, call.request, "was answered, in the recording never", !blocked);
    } else if (call.error) {
      if (best.error?.message !== call.error.message) {
        problems.push(wrong(`${key}: recorded error ${call.error.message}, ours ${best.error?.message ?? "none"}`));
      }
    } else if (best.response) problems.push(...told("answer", call.response ?? {}, best.response));
    else byChance(key, call.request, `was not answered (${best.error?.message ?? "no error"})`, call.ended > end);
  }
  for (const { method, request } of free) {
    byChance(
      monitorKey(method, request),
      request,
      "the program did not ask this in the recording",
      end !== Number.POSITIVE_INFINITY,
    );
  }
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
function verifyState(replay: Replay, unfinished: Unfinished): Problem[] {
  const { options, after, written: snapshot, comparison } = replay;
  if (options.dryRun) return snapshot ? [wrong("a preview wrote state")] : [];
  if (!snapshot) return [wrong("no state was written")];
  const problems: Problem[] = [];
  const about = (state: ResourceState, what: string) => {
    const names = [state.urn, ...(state.aliases ?? [])].map((urn) => parseUrn(urn).name);
    problems.push({
      text: `state: ${state.urn}${state.delete ? " (to be deleted)" : ""} ${what}`,
      chance: names.some((name) => unfinished.has(name)),
    });
  };
  const free = [...snapshot.resources];
  for (const recorded of after.resources) {
    const same = free.filter((state) => state.urn === recorded.urn && (state.delete ?? false) === (recorded.delete ?? false));
    const best = same
      .map((state) => ({ state, distance: distance(plain(recorded), plain(state), comparison) }))
      .sort((a, b) => a.distance - b.distance)[0]?.state;
    if (!best) {
      about(recorded, "is missing");
      continue;
    }
    free.splice(free.indexOf(best), 1);
    for (const difference of differences(plain(recorded), plain(best), comparison)) about(recorded, describe(difference));
  }
  for (const state of free) about(state, "is not in the recording");
  const whole = (what: string, one: unknown, other: unknown) => {
    for (const difference of differences(plain(one), plain(other), comparison))
      problems.push(wrong(`${what}: ${describe(difference)}`));
  };
  const frame = ({ version, features, stack, manifest, salt }: ReadCheckpoint) => ({
    version,
    features,
    stack,
    manifest,
    salt,
  });
  whole("pending operations", after.pendingOperations, snapshot.pendingOperations);
  whole("metadata", after.metadata ?? {}, snapshot.metadata ?? {});
  whole("file", frame(after), frame(snapshot));
  const seen = new Set<string>();
  const known = new Set(snapshot.resources.map((state) => state.urn));
  for (const state of snapshot.resources) {
    for (const urn of references(state)) {
      if (known.has(urn) && !seen.has(urn))
        problems.push(wrong(`state: ${state.urn} stands before ${urn}, to which it refers`));
    }
    seen.add(state.urn);
  }
  return problems;
}

/** Whether it ended as recorded, and that the same resources failed, with the same texts. */
function verifyOutcome({ step, recorded, result, options, events }: Replay): Problem[] {
  if (step.killAt) return [];
  const problems: Problem[] = [];
  const wanted = !(step.fails ?? false) || options.dryRun;
  if (result?.ok !== wanted) problems.push(wrong(`ok is ${result?.ok}, recorded ${wanted}`));
  const failures = recorded.calls.filter((call) => call.error && changing.has(call.method));
  for (const { request, error } of failures) {
    const ours = events.find((event) => event.kind === "resource-failed" && event.step.urn === request.urn);
    const said = ours?.kind === "resource-failed" ? ours.error : "";
    if (!said.includes(error?.message ?? "")) {
      problems.push(wrong(`${text(request.urn)} failed with ${error?.message}, ours ${said || "did not"}`));
    }
  }
  return problems;
}

export function verify(replay: Replay): Problem[] {
  const unfinished: Unfinished = new Set();
  return [
    ...verifyOutcome(replay),
    ...verifyProviderCalls(replay),
    ...verifyInstances(replay),
    ...verifyDeletionOrder(replay),
    ...verifyMonitor(replay, unfinished),
    ...verifyState(replay, unfinished),
  ];
}
