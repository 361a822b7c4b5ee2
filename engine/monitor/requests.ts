/** The plain parts of the program's requests: tokens, references, timeouts, aliases, hooks. */

import { status } from "@grpc/grpc-js";
import type { Alias as WireAlias } from "@pulumi/pulumi/proto/alias_pb.js";
import type { RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb.js";
import type { Alias, Goal, HookBinding } from "../source.ts";

/** A request that is refused: becomes a gRPC error, and an exception in the program. */
export class RequestError extends Error {
  readonly code: status;
  constructor(message: string, code: status = status.UNKNOWN) {
    super(message);
    this.name = "RequestError";
    this.code = code;
  }
}

export function invalid(message: string): RequestError {
  return new RequestError(message, status.INVALID_ARGUMENT);
}

export function checkUrn(urn: string, what: string): string {
  if (!urn.startsWith("urn:pulumi:") || urn.split("::").length < 4) throw invalid(`invalid ${what}: '${urn}' is not a URN`);
  return urn;
}

export function optionalUrn(urn: string, what: string): string | undefined {
  return urn === "" ? undefined : checkUrn(urn, what);
}

/** A provider reference is `<urn>::<id>`. */
export function checkReference(reference: string): string {
  const cut = reference.lastIndexOf("::");
  if (cut <= 0 || cut === reference.length - 2) {
    throw new RequestError(`could not parse provider reference: '${reference}' has not the form <urn>::<id>`);
  }
  return reference;
}

const providerPrefix = "pulumi:providers:";

export function isProviderType(type: string): boolean {
  return type.startsWith(providerPrefix);
}

export function providerType(pkg: string): string {
  return `${providerPrefix}${pkg}`;
}

/** The package that a type or function token belongs to. */
export function packageOf(token: string): string {
  return token.slice(0, Math.max(0, token.indexOf(":")));
}

export function checkTypeToken(type: string): void {
  if (type.split(":").length !== 3) {
    throw invalid(`Type '${type}' is not a valid type token (must have format '*:*:*')`);
  }
}

const durationUnits: { [unit: string]: number } = {
  ns: 1e-9,
  us: 1e-6,
  µs: 1e-6,
  μs: 1e-6,
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600,
};

/** Seconds of a duration in Go's notation, e.g. "1h30m" or "1.5s". */
export function parseDuration(text: string): number {
  const bad = () => new RequestError(`unable to parse customTimeout Value ${text}`);
  const [, sign, rest = ""] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  if (rest === "0") return 0;
  if (!/^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(rest)) throw bad();
  let seconds = 0;
  for (const [, amount = "", unit = ""] of rest.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    seconds += Number(amount) * (durationUnits[unit] ?? Number.NaN);
  }
  return sign === "-" ? -seconds : seconds;
}

export function decodeTimeouts(timeouts: RegisterResourceRequest.CustomTimeouts | undefined): Goal["customTimeouts"] {
  if (!timeouts) return undefined;
  const result: NonNullable<Goal["customTimeouts"]> = {};
  if (timeouts.getCreate()) result.create = parseDuration(timeouts.getCreate());
  if (timeouts.getUpdate()) result.update = parseDuration(timeouts.getUpdate());
  if (timeouts.getDelete()) result.delete = parseDuration(timeouts.getDelete());
  if (timeouts.getRead()) result.read = parseDuration(timeouts.getRead());
  return Object.keys(result).length > 0 ? result : undefined;
}

export function decodeAlias(alias: WireAlias): Alias {
  const spec = alias.getSpec();
  if (!spec) return { urn: checkUrn(alias.getUrn(), "alias URN") };
  const result: Alias = {};
  if (spec.getName()) result.name = spec.getName();
  if (spec.getType()) result.type = spec.getType();
  if (spec.getStack()) result.stack = spec.getStack();
  if (spec.getProject()) result.project = spec.getProject();
  const parent = optionalUrn(spec.getParenturn(), "parent alias URN");
  if (parent) result.parent = parent;
  else if (spec.getNoparent()) result.noParent = true;
  return result;
}

export function decodeHooks(hooks: RegisterResourceRequest.ResourceHooksBinding | undefined): HookBinding | undefined {
  if (!hooks) return undefined;
  const all: HookBinding = {
    beforeCreate: hooks.getBeforeCreateList(),
    afterCreate: hooks.getAfterCreateList(),
    beforeUpdate: hooks.getBeforeUpdateList(),
    afterUpdate: hooks.getAfterUpdateList(),
    beforeDelete: hooks.getBeforeDeleteList(),
    afterDelete: hooks.getAfterDeleteList(),
    onError: hooks.getOnErrorList(),
  };
  const used = Object.entries(all).filter(([, names]) => names.length > 0);
  return used.length > 0 ? Object.fromEntries(used) : undefined;
}
