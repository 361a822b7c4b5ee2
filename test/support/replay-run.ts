/** Replays one recorded step: its state before, the real program, players as providers; notes all that happens. */

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { runDeployment } from "../../engine/deploy.ts";
import type { DeploymentOptions, DeploymentResult, RunProgram } from "../../engine/deployment.ts";
import type { EngineEvent } from "../../engine/events.ts";
import { runProgram } from "../../engine/program.ts";
import { reasonsText } from "../../engine/provider-errors.ts";
import { ProviderError, type ProviderHost } from "../../engine/providers/provider.ts";
import type { Snapshot } from "../../engine/resource.ts";
import { openSecrets } from "../../engine/secrets.ts";
import { createStateWriter } from "../../engine/state.ts";
import type { PropertyMap, Value } from "../../engine/values.ts";
import { isMap } from "../../engine/values.ts";
import { deploymentOptions } from "./deployment-options.ts";
import { rebuildBefore } from "./replay-before.ts";
import type { ReadCheckpoint } from "./replay-checkpoint.ts";
import { decryptSecure, parseCheckpoint } from "./replay-checkpoint.ts";
import type { Comparison } from "./replay-compare.ts";
import { newComparison, plain } from "./replay-compare.ts";
import type { Players } from "./replay-player.ts";
import { changing, createPlayers } from "./replay-player.ts";
import { createReplayProject } from "./replay-project.ts";
import type { RecordedCall, RecordedRun } from "./replay-recording.ts";
import { readConfig, readRuns, readText, replaceText } from "./replay-recording.ts";
import type { ReplayStep } from "./replay-steps.ts";
import { replaySteps, said } from "./replay-steps.ts";
import type { MonitorCall, MonitorListener } from "./replay-wire.ts";
import { listenToMonitor, monitorKey } from "./replay-wire.ts";

export const passphrase = "x";

/** One deployment of a step, as recorded and as replayed. */
export interface Replay {
  step: ReplayStep;
  recorded: RecordedRun;
  options: DeploymentOptions;
  before: Snapshot;
  after: ReadCheckpoint;
  comparison: Comparison;
  players: Players;
  monitor: MonitorCall[];
  events: EngineEvent[];
  /** The state file, read back and decrypted; undefined where none was written. */
  written: ReadCheckpoint | undefined;
  /** Undefined where the process was killed. */
  result: DeploymentResult | undefined;
  root: string;
}

const empty: Snapshot = { resources: [], pendingOperations: [] };

export function readState(recording: string, step: string): ReadCheckpoint {
  const text = readText(recording, `${step}.checkpoint.json`);
  if (text === undefined) throw new Error(`${recording}/${step} has no checkpoint`);
  return parseCheckpoint(text, passphrase);
}

/** The key of `remote`, which the messages do not hold. */
export function privateKey(): string {
  const file = readText("remote", "Pulumi.dev.yaml") ?? "";
  const [, salt = ""] = /encryptionsalt: (\S+)/.exec(file) ?? [];
  const [, secure = ""] = /privateKey:\s+secure: (\S+)/.exec(file) ?? [];
  return decryptSecure(secure, salt, passphrase);
}

const cache = new Map<string, RecordedRun[]>();

export function recordedRuns(recording: string, step: string): RecordedRun[] {
  const name = `${recording}/${step}`;
  let runs = cache.get(name);
  if (!runs) {
    runs = readRuns(recording, step);
    if (recording === "remote") {
      const key = privateKey();
      const open = (map: PropertyMap): PropertyMap => {
        const opened = replaceText(map, "A-PRIVATE-KEY", key);
        return isMap(opened) ? opened : map;
      };
      for (const call of runs.flatMap((run) => run.calls)) {
        call.request = open(call.request);
        if (call.response) call.response = open(call.response);
      }
    }
    cache.set(name, runs);
  }
  return runs;
}

function kubeconfigOf(run: RecordedRun): string | undefined {
  const check = run.calls.find((call) => call.method === "CheckConfig");
  const news = check?.request.news;
  return isMap(news) && typeof news.kubeconfig === "string" ? news.kubeconfig : undefined;
}

/** Errors of a partial creation or update carry the resource's state, which only the checkpoint afterwards shows. */
function failureOf(after: ReadCheckpoint): (call: RecordedCall) => ProviderError | undefined {
  return (call) => {
    const state = after.resources.find((resource) => resource.urn === call.request.urn && !resource.delete);
    if (!call.error || !state?.initErrors?.length) return undefined;
    return new ProviderError("partial", reasonsText(state.initErrors), {
      partial: {
        id: state.id ?? "",
        properties: state.outputs,
        inputs: state.inputs,
        reasons: state.initErrors,
      },
    });
  };
}

function optionsFor(step: ReplayStep, run: RecordedRun, root: string, program: string): DeploymentOptions {
  const started = run.calls.find((call) => call.service === "LanguageRuntime" && call.method === "Run");
  const known = readConfig(run) ?? { config: {}, secretKeys: [] };
  const [, project = ""] = /^name: (\S+)/m.exec(readText(step.recording, "Pulumi.yaml") ?? "") ?? [];
  return deploymentOptions({
    kind: step.kind,
    dryRun: step.dryRun ?? started?.request.dryRun === true,
    project,
    config: known.config,
    configSecretKeys: known.secretKeys,
    shownConfig: shownConfig(known),
    rootDirectory: root,
    programDirectory: program,
    entryPoint: "index.ts",
    runtimeOptions: { typescript: false },
    ...step.options,
  });
}

/** Which parts of an object are secret stands in the stack file only, which was not recorded. */
const partlySecret: { [key: string]: string } = { "options:nested": '{"key":"[secret]","list":[{"name":"value"}]}' };

function shownConfig({ config, secretKeys }: { config: { [key: string]: string }; secretKeys: string[] }): {
  [key: string]: string;
} {
  const masked = secretKeys.map((key) => [key, partlySecret[key] ?? "[secret]"]);
  return { ...config, ...Object.fromEntries(masked) };
}

/** How long a program may get no processor. */
const stalledMs = 5000;

/** A failure ends the program: before it, on a slow machine too, the program has the answers that it had by then in the recording. */
function awaitsProgram({ calls }: RecordedRun, listeners: MonitorListener[]): (call: RecordedCall) => boolean {
  const since = new Map<RecordedCall, number>();
  return (failing) => {
    if (!failing.error || !changing.has(failing.method)) return false;
    const end = failing.ended ?? 0;
    const began = since.get(failing) ?? Date.now();
    since.set(failing, began);
    if (Date.now() - began > stalledMs) return false;
    const due = calls.filter((call) => call.service === "ResourceMonitor" && call.response && (call.ended ?? end) < end);
    const answered = listeners.flatMap((listener) => listener.calls).filter((call) => call.response);
    const keys = new Set(answered.map((call) => monitorKey(call.method, call.request)));
    return due.some((call) => !keys.has(monitorKey(call.method, call.request)));
  };
}

/** Puts something between the engine and the players. */
export type WrapHost = (host: ProviderHost, program: string) => ProviderHost;

async function replayRun(step: ReplayStep, recorded: RecordedRun, elsewhere: RecordedCall[], wrap: WrapHost): Promise<Replay> {
  const known = step.before ? readState(step.recording, step.before) : { ...empty };
  const after = readState(step.recording, step.step);
  const before = step.unrecorded ? rebuildBefore(known, after, recorded, step.unrecorded.gone) : known;
  const comparison = newComparison(plain(before));
  const phase = step.step < "04" ? "first" : "later";
  const project = createReplayProject(step.recording, phase, kubeconfigOf(recorded));
  const options = optionsFor(step, recorded, project.root, project.program);
  const stop = new AbortController();
  const terminate = new AbortController();
  const events: EngineEvent[] = [];
  const file = join(project.root, "state.json");
  const secrets = await openSecrets(after.salt ?? "", { PULUMI_CONFIG_PASSPHRASE: passphrase });
  const frame = { stack: after.stack, secrets };
  const writer = createStateWriter({ path: file, compress: false }, frame, () => new Date());
  const listeners: MonitorListener[] = [];
  let killed: () => void = () => {};
  const kill = new Promise<undefined>((resolve) => {
    killed = () => resolve(undefined);
  });
  const players = createPlayers({
    calls: recorded.calls,
    elsewhere,
    comparison,
    logs: [...said, ...(step.logs ?? [])],
    ordered: step.races ?? false,
    isHeld: awaitsProgram(recorded, listeners),
    failure: failureOf(after),
    onCall(call) {
      if (call.method !== "Create" || !isNamed(call.request, step.killAt ?? step.interruptAt)) return undefined;
      return new Promise((resolve) => {
        if (step.interruptAt) stop.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    },
  });
  const listening: RunProgram = (request) => {
    const started = listenToMonitor(request.monitorAddress, step.races ? recorded.calls : []).then((listener) => {
      listeners.push(listener);
      return runProgram({ ...request, monitorAddress: listener.address });
    });
    return {
      exited: started.then((program) => program.exited),
      kill: () =>
        started.then(
          (program) => program.kill(),
          () => undefined,
        ),
    };
  };
  const watch =
    step.killAt || step.interruptAt
      ? watchEnd({ players, recorded, step, listeners, act: () => (step.killAt ? killed() : stop.abort()) })
      : undefined;
  try {
    const running = runDeployment(options, {
      snapshot: { resources: before.resources, pendingOperations: before.pendingOperations, metadata: before.metadata },
      ...(options.dryRun ? {} : { state: writer }),
      providers: wrap(players.host, project.program),
      runProgram: listening,
      readStackOutputs: async (name) =>
        name === "organization/options/dev" ? readState("options", "29-up-base").resources[0]?.outputs : undefined,
      emit: (event) => {
        events.push(event);
      },
      stop: stop.signal,
      terminate: terminate.signal,
      now: () => new Date(),
    });
    const result = await Promise.race([running, kill]);
    const left = result ? undefined : await readFile(file, "utf8");
    if (result) {
      if (!options.dryRun) await writer.close(result.snapshot);
    } else {
      terminate.abort();
      await running.catch(() => undefined);
    }
    const text = left ?? (existsSync(file) ? await readFile(file, "utf8") : undefined);
    return {
      step,
      recorded,
      options,
      before,
      after,
      comparison,
      players,
      monitor: listeners.flatMap((listener) => listener.calls),
      events,
      written: text === undefined ? undefined : parseCheckpoint(text, passphrase),
      result,
      root: project.root,
    };
  } finally {
    clearInterval(watch);
    for (const listener of listeners) listener.close();
    project.remove();
  }
}

function isNamed(request: Value, name: string | undefined): boolean {
  return name !== undefined && isMap(request) && typeof request.urn === "string" && request.urn.endsWith(`::${name}`);
}

interface Watch {
  players: Players;
  recorded: RecordedRun;
  step: ReplayStep;
  listeners: MonitorListener[];
  act(): void;
}

/** Acts once all else that was recorded has been answered, as the user or the killer did. */
function watchEnd({ players, recorded, step, listeners, act }: Watch): NodeJS.Timeout {
  const name = step.killAt ?? step.interruptAt;
  const isTheOne = (call: { method: string; request: Value }) => call.method === "Create" && isNamed(call.request, name);
  const providerCalls = recorded.calls.filter(
    (call) => call.service === "ResourceProvider" && call.method !== "Cancel" && !isTheOne(call),
  );
  const answers = recorded.calls.filter((call) => call.service === "ResourceMonitor" && call.ended !== undefined);
  const timer = setInterval(() => {
    const played = players.played.filter((call) => call.recorded && call.ended !== undefined);
    const answered = listeners.flatMap((listener) => listener.calls).filter((call) => call.response);
    if (!players.played.some(isTheOne) || played.length < providerCalls.length || answered.length < answers.length) return;
    clearInterval(timer);
    act();
  }, 20);
  return timer;
}

/** All deployments of a step, each from the state before it. */
export async function replayStep(step: ReplayStep, wrap: WrapHost = (host) => host): Promise<Replay[]> {
  const runs = recordedRuns(step.recording, step.step);
  const others = step.races ? replaySteps.filter((other) => other.recording === step.recording) : [];
  const elsewhere = others.flatMap((other) => recordedRuns(other.recording, other.step).flatMap((run) => run.calls));
  const replays: Replay[] = [];
  for (const run of runs) replays.push(await replayRun(step, run, elsewhere, wrap));
  return replays;
}
