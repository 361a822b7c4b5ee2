/** Runs deployments of scripted programs against the fake cloud, with a state that is checked at every write. */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import type { DeploymentOptions, DeploymentResult } from "../../engine/deployment.ts";
import type { EngineEvent } from "../../engine/events.ts";
import type { ResourceState, Snapshot, StateWriter } from "../../engine/resource.ts";
import { createRunDeployment } from "../../engine/run-deployment.ts";
import type { HookRunner } from "../../engine/source.ts";
import type { PropertyMap } from "../../engine/values.ts";
import { deploymentOptions } from "./deployment-options.ts";
import { createFakeCloud, type FakeCloud } from "./fake-cloud.ts";
import { type Program, scriptedSource } from "./scripted-source.ts";

export interface TestStack {
  cloud: FakeCloud;
  /** The state on disk. */
  snapshot: Snapshot;
  /** Operations that were on record with the latest write. */
  pending(): string[];
  run(program: Program | undefined, options?: RunOptions): Promise<TestRun>;
}

export interface RunOptions extends Partial<DeploymentOptions> {
  hooks?: HookRunner;
  stop?: AbortSignal;
  terminate?: AbortSignal;
}

export interface TestRun extends DeploymentResult {
  events: EngineEvent[];
  saves: Snapshot[];
  /** Texts of errors, in order. */
  errors: string[];
  warnings: string[];
  /** `op name` of each step that began, the engine's own left out. */
  steps: string[];
}

export const urnOf = (name: string, type = "fake:index:Thing"): string => `urn:pulumi:dev::test::${type}::${name}`;

export function createTestStack(): TestStack {
  const cloud = createFakeCloud();
  const stack: TestStack = {
    cloud,
    snapshot: { resources: [], pendingOperations: [] },
    pending: () => stack.snapshot.pendingOperations.map(({ resource, type }) => `${type} ${resource.urn}`),
    async run(program, { hooks, stop, terminate, ...more } = {}) {
      const events: EngineEvent[] = [];
      const saves: Snapshot[] = [];
      cloud.calls.length = 0;
      const writer = createWriter((snapshot) => {
        checkIntegrity(snapshot);
        saves.push(snapshot);
        stack.snapshot = snapshot;
      });
      const options = deploymentOptions({ ...defaults, kind: program ? "update" : "destroy", ...more });
      const never = new AbortController().signal;
      const result = await createRunDeployment(scriptedSource(program ?? (async () => {}), hooks))(options, {
        snapshot: stack.snapshot,
        ...(!options.dryRun && { state: writer }),
        providers: cloud.host,
        runProgram: () => assert.fail("a scripted program has no process"),
        readStackOutputs: async () => undefined,
        emit: (event) => events.push(event),
        stop: stop ?? never,
        terminate: terminate ?? never,
        now: () => new Date(),
      });
      assert.equal(cloud.open, 0, "a provider was left open");
      if (options.dryRun) assert.deepEqual(saves, [], "a preview wrote the state");
      else if (!terminate?.aborted) assert.deepEqual(result.snapshot, stack.snapshot, "the last state was not written");
      return { ...result, events, saves, ...describe(events) };
    },
  };
  return stack;
}

const defaults = { project: "test", parallel: 16, rootDirectory: "/", programDirectory: "/" };

/** Writes what it was last asked for, one at a time, as the file backend does. */
function createWriter(write: (snapshot: Snapshot) => void): StateWriter {
  let asked: { current: () => Snapshot; done: PromiseWithResolvers<void>[] } | undefined;
  let writing = false;
  async function work(): Promise<void> {
    writing = true;
    while (asked) {
      await setImmediate();
      const { current, done } = asked;
      asked = undefined;
      try {
        write(current());
        for (const { resolve } of done) resolve();
      } catch (error) {
        for (const { reject } of done) reject(error);
      }
    }
    writing = false;
  }
  return {
    save(current) {
      const done = Promise.withResolvers<void>();
      asked = { current, done: [...(asked?.done ?? []), done] };
      if (!writing) void work();
      return done.promise;
    },
  };
}

function describe(events: EngineEvent[]): Pick<TestRun, "errors" | "warnings" | "steps"> {
  const errors: string[] = [];
  const warnings: string[] = [];
  const steps: string[] = [];
  for (const event of events) {
    if (event.kind === "diagnostic" && event.severity === "error") errors.push(event.message);
    else if (event.kind === "diagnostic" && event.severity === "warning") warnings.push(event.message);
    else if (event.kind === "resource-pre" && !event.internal) {
      steps.push(`${event.step.op} ${event.step.urn.slice(event.step.urn.lastIndexOf("::") + 2)}`);
    }
  }
  return { errors, warnings, steps };
}

/** Dependencies before dependents, nothing that is referred to missing, no URN twice but for old halves. */
export function checkIntegrity({ resources }: Snapshot): void {
  const seen = new Set<string>();
  const present = new Set<string>();
  const references = new Set<string>();
  for (const state of resources) {
    const { urn } = state;
    for (const needed of neededUrns(state)) {
      assert.ok(seen.has(needed), `${urn} comes before ${needed}, or that is missing`);
    }
    if (state.provider) assert.ok(references.has(state.provider), `${urn} has no provider ${state.provider}`);
    if (!state.delete) {
      assert.ok(!present.has(urn), `${urn} is there twice`);
      present.add(urn);
    }
    seen.add(urn);
    references.add(`${urn}::${state.id}`);
    assert.equal(state.aliases, undefined, `${urn} keeps its aliases`);
  }
}

export function neededUrns(state: ResourceState): string[] {
  const properties = Object.values(state.propertyDependencies ?? {}).flatMap((urns) => urns ?? []);
  const single = [state.parent, state.deletedWith].filter((urn) => urn !== undefined);
  return [...single, ...(state.dependencies ?? []), ...properties, ...(state.replaceWith ?? [])];
}

/** A program of plain resources of the default provider, in order; values name earlier resources by `$name`. */
export function thingProgram(things: { [name: string]: PropertyMap }): Program {
  return async ({ register }) => {
    const provider = await register({ type: "pulumi:providers:fake", name: "default_1_0_0" });
    const urns = new Map<string, string>();
    const outs = new Map<string, PropertyMap>();
    for (const [name, given] of Object.entries(things)) {
      const properties: PropertyMap = {};
      const propertyDependencies: { [key: string]: string[] } = {};
      for (const [key, value] of Object.entries(given)) {
        const other = typeof value === "string" && value.startsWith("$") ? value.slice(1) : undefined;
        properties[key] = other === undefined ? value : (outs.get(other)?.out ?? "04da6b54-80e4-46f7-96ec-b56ff0331ba9");
        propertyDependencies[key] = other === undefined ? [] : [urns.get(other) ?? ""];
      }
      const dependencies = [...new Set(Object.values(propertyDependencies).flat())];
      const goal = { type: "fake:index:Thing", name, properties, dependencies, propertyDependencies };
      const { urn, outputs } = await register({ ...goal, provider: `${provider.urn}::${provider.id}` });
      urns.set(name, urn);
      outs.set(name, outputs);
    }
  };
}
