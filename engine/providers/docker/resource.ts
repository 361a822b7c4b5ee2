/** What each docker resource type can do; the provider does the rest for all of them. */
import { setTimeout as pause } from "node:timers/promises";
import type { PropertyMap, Value } from "../../values.ts";
import { ProviderError, type ProviderLog } from "../provider.ts";
import { type Daemon, DaemonError } from "./api.ts";
import { labelMap, type ResourceFields, string, texts } from "./fields.ts";
import type { RegistryLogins } from "./registry-logins.ts";

export interface Work {
  /** The state to reach (create, update), or the one that is there. Unknown values are gone. */
  plan: PropertyMap;
  urn: string;
  daemon: Daemon;
  logins: RegistryLogins;
  programDirectory: string;
  signal: AbortSignal;
  log(entry: ProviderLog): void;
  /** Told as soon as something is there that must not be forgotten if what follows fails. */
  made(id: string): void;
}
export type WorkOn = Work & { id: string };

export interface DockerType extends ResourceFields {
  /** `said` are outputs that only the creation knows. */
  create(work: Work): Promise<{ id: string; said?: PropertyMap }>;
  /** Undefined where it is gone. `said` holds what the daemon says, by output; what it does not say stays as it was. */
  read(work: WorkOn): Promise<{ id: string; said: PropertyMap } | undefined>;
  /** Absent: nothing to do but to note it. True: the state is read after it. */
  update?(work: WorkOn & { old: PropertyMap }): Promise<boolean | undefined>;
  delete(work: WorkOn): Promise<void>;
  /** Takes away what a creation that nobody saw end left in the way of the next one. `known` are ids that were not left. */
  undoCreate?(work: Work & { known: string[] }): Promise<void>;
  /** What else Check refuses: a text by input. */
  refused?(inputs: PropertyMap): { [path: string]: string };
  /** Texts of a state or of inputs that must not be in a message. */
  hidden?(state: PropertyMap): string[];
}

/** A failure in words for the user. */
export class UserError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "UserError";
  }

  /** For `.catch`: the daemon's words after ours. */
  static after(what: string): (error: unknown) => never {
    return (error) => {
      if (error instanceof ProviderError) throw error;
      throw new UserError(`${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    };
  }
}

/** What was asked for is not there: for `.catch`. */
export function absent(error: unknown): undefined {
  if (error instanceof DaemonError && error.status === 404) return undefined;
  throw error;
}

/**
 * It was left by a creation that nobody saw end: it has the wanted name and all labels that are wanted, which are some, so it is
 * not another's; and the state does not know it.
 */
export function wasLeft(
  found: { name: string; id: string; labels: Value | undefined },
  { plan, known }: { plan: PropertyMap; known: string[] },
): boolean {
  const there = texts(found.labels);
  const labels = Object.entries(labelMap(plan.labels));
  const isMarked = labels.length > 0 && labels.every(([label, text]) => there[label] === text);
  return isMarked && found.name === string(plan.name) && !known.includes(found.id);
}

/** Asks again until it is done; says what it waited for where it never is. */
export async function poll(
  limitMs: number,
  signal: AbortSignal,
  waitedFor: string,
  done: () => Promise<boolean>,
  everyMs = 500,
): Promise<void> {
  const until = Date.now() + limitMs;
  while (!(await done())) {
    if (Date.now() > until) throw new UserError(`timeout while waiting: ${waitedFor}`);
    await pause(everyMs, undefined, { signal });
  }
}

/** Takes texts out of another. Short ones would blot out everything, and are no secrets. */
export function hiding(secrets: string[]): (text: string) => string {
  const parts = new Set(secrets.flatMap((secret) => [secret, ...secret.split("\n")]).map((part) => part.trim()));
  const list = [...parts].filter((part) => part.length >= 6).sort((a, b) => b.length - a.length);
  return (text) => list.reduce((left, part) => left.replaceAll(part, "[secret]"), text);
}
