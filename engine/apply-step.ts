/** Does one step: calls the provider and the hooks, and puts what came of it into the step's cells (deploy/step.go). */
import type { Cell } from "./dependency-graph.ts";
import { hooksOfState } from "./plan.ts";
import { deepEqual } from "./properties.ts";
import { resetIgnored } from "./property-path.ts";
import { isProviderType } from "./provider-reference.ts";
import { operationsFor, type ProviderRegistry } from "./provider-registry.ts";
import type { ProviderError } from "./providers/provider.ts";
import { refreshResource } from "./refresh.ts";
import type { Urn } from "./resource.ts";
import type { Written } from "./resource-operations.ts";
import type { HookRunner } from "./source.ts";
import { hookCall, runAfterHook, withRetries } from "./step-hooks.ts";
import type { Step } from "./steps.ts";
import { unknown } from "./values.ts";

export interface ApplyContext {
  dryRun: boolean;
  registry: ProviderRegistry;
  hooks(): HookRunner;
  /** Adds to the warnings and messages of a resource. */
  say(severity: "info" | "warning" | "error", message: string, urn?: Urn): void;
  /** An after hook failed: the resource is as it should be, the deployment is not. */
  recordLateError(error: Error): void;
  isDeleted(urn: Urn): boolean;
  now(): Date;
}

/** A resource that was to be deleted is protected; nothing was done, so the deployment may go on. */
export class ProtectedError extends Error {}

/** What remains where a step failed but left something to keep. */
export interface Applied {
  partial?: ProviderError;
}

/** Throws where the step failed and left nothing. */
export async function applyStep(step: Step, context: ApplyContext): Promise<Applied> {
  const { old, new: next } = step;
  switch (step.op) {
    case "same":
      if (old && next) await applySame(step, old, next, context);
      return {};
    case "create":
    case "create-replacement":
      return next ? applyCreate(step, old, next, context) : {};
    case "update":
      return old && next ? applyUpdate(step, old, next, context) : {};
    case "delete":
    case "delete-replaced":
    case "discard-replaced":
    case "read-discard":
      if (old) await applyDelete(step, old, context);
      return {};
    case "read":
    case "read-replacement":
      return next ? applyRead(step, old, next, context) : {};
    case "import":
    case "import-replacement":
      return next ? applyImport(step, next, context) : {};
    case "refresh":
      if (old) await refreshResource(step, old, context);
      return {};
    case "replace":
    case "remove-pending-replace":
      return {};
  }
}

async function applySame(step: Step, old: Cell, next: Cell, context: ApplyContext): Promise<void> {
  if (step.skippedCreate) return;
  next.state = { ...next.state, ...(old.state.id !== undefined && { id: old.state.id }), outputs: old.state.outputs ?? {} };
  if (isProviderType(next.state.type) && !step.untargeted) {
    // The old inputs: a provider that calls its changed configuration the same is to see one consistently.
    await context.registry.same({ ...next.state, inputs: old.state.inputs ?? {} }, true);
  }
}

async function applyCreate(step: Step, old: Cell | undefined, next: Cell, context: ApplyContext): Promise<Applied> {
  const { urn, inputs = {}, custom, customTimeouts } = next.state;
  const hooks = step.goal?.hooks ?? {};
  const call = hookCall(step, next.state, { newInputs: inputs });
  if (hooks.beforeCreate) await context.hooks().run("beforeCreate", hooks.beforeCreate, call);
  let written: Written | undefined;
  if (custom) {
    const operations = operationsFor(next.state, context.registry);
    written = await withRetries("create", step, hooks.onError ?? [], call, context, () =>
      operations.create({ urn, inputs, ...(customTimeouts?.create && { timeout: customTimeouts.create }) }),
    );
  }
  const now = context.now().toISOString();
  const { refreshBeforeUpdate: _, ...state } = next.state;
  next.state = {
    ...state,
    ...(written?.id && { id: written.id }),
    outputs: written?.outputs ?? {},
    ...initErrors(written?.partial),
    ...(written?.refreshBeforeUpdate && { refreshBeforeUpdate: true }),
    created: now,
    modified: now,
  };
  if (step.pending && old) old.state = { ...old.state, delete: true };
  if (custom && !written?.partial) await runAfterHook("afterCreate", hooks.afterCreate ?? [], step, context);
  return written?.partial ? { partial: written.partial } : {};
}

const initErrors = (partial: ProviderError | undefined) => partial?.partial && { initErrors: partial.partial.reasons };

async function applyUpdate(step: Step, old: Cell, next: Cell, context: ApplyContext): Promise<Applied> {
  const { id, created, modified, inputs: oldInputs = {}, outputs: oldOutputs = {} } = old.state;
  next.state = {
    ...next.state,
    ...(id !== undefined && { id }),
    ...(created && { created }),
    ...(modified && { modified }),
  };
  const { urn, inputs = {}, custom, customTimeouts } = next.state;
  const hooks = step.goal?.hooks ?? {};
  const call = hookCall(step, next.state, { newInputs: inputs, oldInputs, oldOutputs });
  if (hooks.beforeUpdate) await context.hooks().run("beforeUpdate", hooks.beforeUpdate, call);
  if (!custom) return {};
  const operations = operationsFor(next.state, context.registry);
  const written = await withRetries("update", step, hooks.onError ?? [], call, context, () =>
    operations.update({
      urn,
      id: id ?? "",
      oldInputs,
      oldOutputs,
      newInputs: inputs,
      ...(customTimeouts?.update && { timeout: customTimeouts.update }),
      ignoreChanges: step.goal?.ignoreChanges ?? [],
    }),
  );
  const { refreshBeforeUpdate: _, ...state } = next.state;
  next.state = {
    ...state,
    // It was not updated with the new inputs as far as anybody knows.
    ...(written.partial && { inputs: oldInputs }),
    outputs: written.outputs,
    ...initErrors(written.partial),
    ...(written.refreshBeforeUpdate && { refreshBeforeUpdate: true }),
    modified: context.now().toISOString(),
  };
  if (written.partial) return { partial: written.partial };
  await runAfterHook("afterUpdate", hooks.afterUpdate ?? [], step, context);
  return {};
}

async function applyDelete(step: Step, old: Cell, context: ApplyContext): Promise<void> {
  const { state } = old;
  const { urn, inputs = {}, outputs = {} } = state;
  const call = hookCall(step, state, { oldInputs: inputs, oldOutputs: outputs });
  const before = hooksOfState(state, "BeforeDelete");
  if (before.length > 0) await context.hooks().run("beforeDelete", before, call);
  const replacing = step.op === "delete-replaced" || step.op === "discard-replaced";
  if (!replacing && state.protect) throw new ProtectedError(protectedText(urn));
  const gone =
    state.external || state.retainOnDelete || (state.deletedWith !== undefined && context.isDeleted(state.deletedWith));
  if (!context.dryRun && !gone && state.custom) {
    const operations = operationsFor(state, context.registry);
    const { delete: timeout } = state.customTimeouts ?? {};
    await withRetries("delete", step, hooksOfState(state, "OnError"), call, context, async () => {
      await operations.delete({ urn, id: state.id ?? "", inputs, outputs, ...(timeout && { timeout }) });
      return {};
    });
  }
  // Only now: a deletion that failed must be tried again by the next run.
  if (step.pending) old.state = { ...old.state, pendingReplacement: true };
  await runAfterHook("afterDelete", hooksOfState(state, "AfterDelete"), step, context);
}

function protectedText(urn: Urn): string {
  return (
    `resource "${urn}" cannot be deleted\n` +
    "because it is protected. To unprotect the resource, either remove the `protect` flag from the resource in your Pulumi " +
    `program and run \`pulumi up\`, or use the command:\n\`pulumi state unprotect '${urn}'\``
  );
}

async function applyRead(step: Step, old: Cell | undefined, next: Cell, context: ApplyContext): Promise<Applied> {
  const { urn, id = "", inputs = {} } = next.state;
  let partial: ProviderError | undefined;
  if (id === unknown) next.state = { ...next.state, outputs: {} };
  else {
    // Inputs go as state too; providers have come to count on it.
    const read = await operationsFor(next.state, context.registry).read({ urn, id, inputs, state: inputs });
    if (!read.outputs) throw new Error(`resource '${id}' does not exist`);
    partial = read.partial;
    next.state = { ...next.state, id: read.id || id, outputs: read.outputs, ...initErrors(partial) };
  }
  if (step.op === "read-replacement" && old) old.state = { ...old.state, delete: true };
  if (old) {
    const { created, modified } = old.state;
    const same =
      deepEqual(next.state.inputs ?? {}, old.state.inputs ?? {}) && deepEqual(next.state.outputs, old.state.outputs ?? {});
    const changed = same ? modified : context.now().toISOString();
    next.state = { ...next.state, ...(created && { created }), ...(changed && { modified: changed }) };
  }
  return partial ? { partial } : {};
}

async function applyImport(step: Step, next: Cell, context: ApplyContext): Promise<Applied> {
  const { urn, importID = "", customTimeouts } = next.state;
  const timeout = customTimeouts && "read" in customTimeouts ? Number(customTimeouts.read) : 0;
  const read = await operationsFor(next.state, context.registry).read({ urn, id: importID, ...(timeout > 0 && { timeout }) });
  if (!read.outputs) throw new Error(`resource '${importID}' does not exist`);
  if (!read.inputs) {
    const pkg = next.state.type.split(":")[0];
    throw new Error(`provider does not support importing resources; please try updating the '${pkg}' plugin`);
  }
  const wanted = next.state.inputs ?? {};
  const now = context.now().toISOString();
  next.state = {
    ...next.state,
    id: read.id || importID,
    inputs: read.inputs,
    outputs: read.outputs,
    ...initErrors(read.partial),
    ...(read.refreshBeforeUpdate && { refreshBeforeUpdate: true }),
    created: now,
    modified: now,
  };
  // Shown against what was read; what the program wants comes with the steps that follow.
  step.old = { state: next.state };
  const { invalid } = resetIgnored(wanted, read.inputs, step.goal?.ignoreChanges ?? []);
  if (invalid.length > 0)
    context.say("info", `cannot ignore changes in added or removed elements of the path: "${invalid.join(", ")}"`, urn);
  if (step.op === "import-replacement" && step.original) step.original.state = { ...step.original.state, delete: true };
  return {};
}
