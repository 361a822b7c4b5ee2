/** `--json`: the CLI's preview document, and its stream of events for what changes things (pkg/backend/display/json.go). */
import type { EngineEvent, StepMetadata, StepOp } from "../events.ts";
import type { PropertyDiff } from "../providers/provider.ts";
import type { ResourceState, Urn } from "../resource.ts";
import { isMap, isSecret, type PropertyMap, signatureKey, signatures, type Value } from "../values.ts";
import { isShown } from "./diff.ts";
import { maskedMap } from "./masking.ts";
import { isRootStack } from "./outputs.ts";
import type { Display } from "./progress-plain.ts";
import { stripAnsi } from "./style.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json | undefined };

export interface JsonOptions {
  showSames: boolean;
  showReplacementSteps: boolean;
  showSecrets: boolean;
  suppressOutputs: boolean;
  nowMs(): number;
  write(text: string): void;
}

/** Go's encoder sorts the keys of maps (not of structs) and escapes what HTML would read. */
function sorted<Item>(map: { [key: string]: Item } | undefined): { [key: string]: Item } | undefined {
  return map && Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function sortedDeep(value: Value): Value {
  if (Array.isArray(value)) return value.map(sortedDeep);
  if (!isMap(value)) return value;
  const out: PropertyMap = {};
  for (const key of Object.keys(value).sort()) out[key] = sortedDeep(value[key] ?? null);
  return out;
}

function escapeHtml(json: string): string {
  return json.replace(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

const emptyIsAbsent = new Set(["inputs", "outputs", "dependencies", "initErrors", "aliases", "propertyDependencies"]);
// In the order of a checkpoint (apitype.ResourceV3).
const stateFields = [
  "urn custom delete id type inputs outputs parent protect taint external dependencies initErrors provider",
  "propertyDependencies pendingReplacement additionalSecretOutputs aliases customTimeouts importID retainOnDelete",
  "deletedWith replaceWith created modified sourcePosition stackTrace ignoreChanges hideDiff replaceOnChanges",
  "replacementTrigger refreshBeforeUpdate viewOf resourceHooks",
].flatMap((line) => line.split(" "));

function stateDocument(state: ResourceState, options: JsonOptions): { [key: string]: unknown } {
  const hideProperties = options.suppressOutputs && isRootStack(state);
  const out: { [key: string]: unknown } = {};
  for (const field of stateFields) {
    let value = state[field];
    if (field === "inputs" || field === "outputs") {
      const map = field === "inputs" ? state.inputs : state.outputs;
      value = map && !hideProperties ? sortedDeep(maskedMap(map, false)) : undefined;
    } else if (field === "propertyDependencies" && state.propertyDependencies) {
      value = sorted(Object.fromEntries(Object.entries(state.propertyDependencies).map(([key, urns]) => [key, urns ?? []])));
    }
    const empty = value === undefined || value === null || value === false || value === "";
    if (empty && field !== "custom") continue;
    const hollow = typeof value === "object" && value !== null && Object.keys(value).length === 0;
    if (hollow && emptyIsAbsent.has(field)) continue;
    out[field] = value;
  }
  return out;
}

function kindName({ kind }: PropertyDiff): string {
  return (kind ?? "ADD").toLowerCase().replace("_", "-");
}

function detailedDiff(step: StepMetadata, kindField: "kind" | "diffKind"): Json {
  if (!step.detailedDiff) return null;
  const entries = Object.entries(step.detailedDiff).map(([path, diff]) => [
    path,
    { [kindField]: kindName(diff), inputDiff: diff.inputDiff ?? false },
  ]);
  return sorted(Object.fromEntries(entries)) ?? null;
}

function nonEmpty<Item>(list: Item[] | undefined): Item[] | undefined {
  return list && list.length > 0 ? list : undefined;
}

function prefixOf(severity: string): string {
  return severity === "error" || severity === "warning" ? `${severity}: ` : "";
}

function withNewline(message: string): string {
  return message.endsWith("\n") ? message : `${message}\n`;
}

/** The whole preview as one document, written at the end so that it is always well formed. */
export function createJsonPreview(options: JsonOptions): Display {
  let config: { [key: string]: string } | undefined;
  const steps: { [key: string]: unknown }[] = [];
  const diagnostics: { urn?: Urn; message: string; severity: string }[] = [];
  const seen = new Map<Urn, StepMetadata>();
  let end: { durationSeconds: number; changes: { [op in StepOp]?: number }; maybeCorrupt: boolean } | undefined;

  function stepDocument(step: StepMetadata): { [key: string]: unknown } {
    return {
      op: step.op,
      urn: step.urn,
      provider: step.provider || undefined,
      oldState: step.old && stateDocument(step.old, options),
      newState: step.new && stateDocument(step.new, options),
      diffReasons: nonEmpty(step.diffs),
      replaceReasons: nonEmpty(step.keys),
      detailedDiff: detailedDiff(step, "kind"),
    };
  }

  return {
    event: (event) => {
      if (event.kind === "prelude") config = sorted(event.config);
      else if (event.kind === "diagnostic") {
        if (event.ephemeral || event.severity === "debug") return;
        const message = prefixOf(event.severity) + withNewline(event.message);
        diagnostics.push({ urn: event.urn || undefined, message, severity: event.severity });
      } else if (event.kind === "stdout") {
        diagnostics.push({ message: withNewline(stripAnsi(event.message)), severity: "info" });
      } else if (event.kind === "resource-pre") {
        if (!isShown(event.step, options) && !isRootStack(event.step)) return;
        seen.set(event.step.urn, event.step);
        steps.push(stepDocument(event.step));
      } else if (event.kind === "resource-outputs") {
        const { step } = event;
        const refreshed = seen.get(step.urn)?.op === "refresh";
        const told = (step.op === "update" && step.detailedDiff !== undefined) || step.op === "delete";
        if (!refreshed || !told) return;
        const index = steps.findIndex((known) => known.urn === step.urn);
        if (index >= 0) steps[index] = stepDocument(step);
      } else if (event.kind === "summary") end = event;
    },
    notice: (text) => void diagnostics.push({ message: withNewline(text), severity: "info" }),
    tickMs: 1000,
    tick: () => {},
    close: () => {
      const document = {
        config: config && Object.keys(config).length > 0 ? config : undefined,
        steps: nonEmpty(steps),
        diagnostics: nonEmpty(diagnostics),
        duration: end && Math.round(end.durationSeconds * 1e9),
        changeSummary: end && Object.keys(end.changes).length > 0 ? sorted(end.changes) : undefined,
        maybeCorrupt: end?.maybeCorrupt || undefined,
      };
      options.write(`${escapeHtml(JSON.stringify(document, undefined, 4))}\n`);
    },
  };
}

/** Each event as one line of JSON, as it happens (apitype.EngineEvent). */
export function createJsonEvents(options: JsonOptions): Display {
  let sequence = 0;

  function write(event: { [name: string]: unknown }): void {
    options.write(`${JSON.stringify({ sequence: sequence++, timestamp: Math.floor(options.nowMs() / 1000), ...event })}\n`);
  }

  function metadata(step: StepMetadata): { [key: string]: unknown } {
    return {
      op: step.op,
      urn: step.urn,
      type: step.type,
      old: step.old ? eventState(step.old) : null,
      new: step.new ? eventState(step.new) : null,
      keys: nonEmpty(step.keys),
      diffs: nonEmpty(step.diffs),
      detailedDiff: detailedDiff(step, "diffKind"),
      logical: step.logical || undefined,
      provider: step.provider ?? "",
    };
  }

  return {
    event: (event: EngineEvent) => {
      switch (event.kind) {
        case "prelude":
          return write({ preludeEvent: { config: sorted(event.config) } });
        case "diagnostic": {
          if (event.severity === "debug") return;
          const { urn, severity, ephemeral } = event;
          const message = withNewline(stripAnsi(event.message));
          const prefix = prefixOf(severity) || undefined;
          return write({ diagnosticEvent: { urn, prefix, message, color: "never", severity, ephemeral } });
        }
        case "stdout":
          return write({ stdoutEvent: { message: withNewline(stripAnsi(event.message)), color: "never" } });
        case "resource-pre":
          return write({ resourcePreEvent: { metadata: metadata(event.step), planning: event.planning || undefined } });
        case "resource-outputs":
          return write({ resOutputsEvent: { metadata: metadata(event.step), planning: event.planning || undefined } });
        case "resource-failed":
          return write({ resOpFailedEvent: { metadata: metadata(event.step), status: 0, steps: 0 } });
        case "summary": {
          const { maybeCorrupt, isPreview } = event;
          const durationSeconds = Math.floor(event.durationSeconds);
          return write({
            summaryEvent: { maybeCorrupt, durationSeconds, resourceChanges: sorted(event.changes), PolicyPacks: {}, isPreview },
          });
        }
        case "cancel":
          return write({ cancelEvent: {} });
      }
    },
    notice: (text) => write({ stdoutEvent: { message: withNewline(text), color: "never" } }),
    tickMs: 1000,
    tick: () => {},
    close: () => {},
  };
}

function eventState(state: ResourceState): { [key: string]: unknown } {
  return {
    type: state.type,
    urn: state.urn,
    custom: state.custom || undefined,
    delete: state.delete || undefined,
    id: state.id ?? "",
    parent: state.parent ?? "",
    protect: state.protect || undefined,
    taint: state.taint || undefined,
    external: state.external || undefined,
    retainOnDelete: state.retainOnDelete || undefined,
    inputs: blinded(state.inputs ?? {}),
    outputs: blinded(state.outputs ?? {}),
    provider: state.provider ?? "",
    initErrors: nonEmpty(state.initErrors),
  };
}

/** Secrets keep their mark and lose their value. */
function blinded(value: Value): Value {
  if (isSecret(value)) return { [signatureKey]: signatures.secret, ciphertext: "[secret]" };
  if (Array.isArray(value)) return value.map(blinded);
  if (!isMap(value)) return value;
  if (value[signatureKey] === signatures.output && value.secret === true) return "[secret]";
  const out: PropertyMap = {};
  for (const key of Object.keys(value).sort()) out[key] = blinded(value[key] ?? null);
  return out;
}
