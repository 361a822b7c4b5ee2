/** Takes secrets out of free text: what programs and providers print, and error messages. */
import type { EngineEvent } from "../events.ts";
import type { ResourceState } from "../resource.ts";
import { isMap, isSecret, signatureKey, signatures, type Value } from "../values.ts";

export interface Redactor {
  /** Notes the secrets of a step, and takes those known so far out of the event's text. */
  event(event: EngineEvent): EngineEvent;
  text(text: string): string;
}

// Below this a "secret" is a word that stands everywhere; parts of a secret object (a user, a port) are seldom secret alone.
const shortest = 4;
const shortestPart = 8;

/** `settings` and `resources` are looked through only when there is a text to look at. */
export function createRedactor(known: { settings: string[]; resources: ResourceState[] }): Redactor {
  const forms = new Set<string>();
  let pending: ResourceState[] = [...known.resources];
  let settings: string[] = known.settings;

  function add(secret: string, least: number): void {
    for (const part of [secret, ...secret.split("\n")]) {
      const text = part.trim();
      if (text.length < least) continue;
      const bytes = Buffer.from(text);
      for (const form of [
        text,
        JSON.stringify(text).slice(1, -1),
        encodeURIComponent(text),
        bytes.toString("base64"),
        bytes.toString("base64url"),
      ]) {
        forms.add(form);
      }
    }
  }

  function addAll(value: Value, least: number): void {
    if (typeof value === "string") add(value, least);
    else if (Array.isArray(value)) for (const item of value) addAll(item, shortestPart);
    else if (isMap(value)) for (const item of Object.values(value)) addAll(item, shortestPart);
  }

  function collect(value: Value): void {
    if (isSecret(value)) addAll(value.value ?? null, shortest);
    else if (Array.isArray(value)) for (const item of value) collect(item);
    else if (isMap(value)) {
      if (value[signatureKey] === signatures.output && value.secret === true) addAll(value.value ?? null, shortest);
      else for (const item of Object.values(value)) collect(item);
    }
  }

  function text(text: string): string {
    for (const setting of settings) add(setting, shortest);
    for (const state of pending) for (const properties of [state.inputs, state.outputs]) if (properties) collect(properties);
    settings = [];
    pending = [];
    let out = text;
    for (const form of forms) if (out.includes(form)) out = out.replaceAll(form, "[secret]");
    return out;
  }

  function event(event: EngineEvent): EngineEvent {
    if (event.kind === "diagnostic" || event.kind === "stdout") return { ...event, message: text(event.message) };
    if (event.kind === "resource-pre" || event.kind === "resource-outputs") {
      if (event.step.new && event.step.op !== "same") pending.push(event.step.new);
      return event;
    }
    return event.kind === "resource-failed" ? { ...event, error: text(event.error) } : event;
  }

  return { event, text };
}
