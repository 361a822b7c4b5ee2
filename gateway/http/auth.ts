// Who is calling: bearer tokens and passwords compared in constant time, or a trusted proxy that names the user.
import { hash as hashOnce, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { authMode, stackOf } from "../config/rules.ts";
import { type Config, type Scope, scopes, type TokenConfig } from "../config/schema.ts";
import type { Secrets } from "../config/secrets.ts";
import { GatewayError } from "../errors.ts";
import { addressList } from "./client-address.ts";

export interface Caller {
  /** The token's id: for logs and metrics. */
  readonly id: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Who a trusted proxy says that it is. */
  readonly user?: string;
}

export interface Authenticator {
  /**
   * Throws GatewayError: `invalid_api_key`, or `address_refused` for a token that is not let in from there.
   * The socket's address is the proxy's where there is one.
   */
  authenticate(headers: IncomingHttpHeaders, socketAddress: string, clientAddress?: string): Caller;
  /** For the one that takes over from it. */
  readonly entries: readonly Entry[];
}

interface Entry {
  readonly digest: Buffer;
  readonly caller: Caller;
  readonly allowed: ((address: string) => boolean) | undefined;
  readonly from: number;
  readonly until: number;
  /** previous: named as such in the config; retiring: its value was replaced while the gateway ran. */
  readonly role: "current" | "previous" | "retiring";
}

const everything: ReadonlySet<Scope> = new Set(scopes);
const always = Number.POSITIVE_INFINITY;

/**
 * Made anew when the config or a secret changes: what `before` let in by a value that was replaced is let in for
 * rotation.overlapSeconds more. `now` gives milliseconds.
 */
export function createAuthenticator(
  config: Config,
  secrets: Secrets,
  now: () => number = Date.now,
  before?: Authenticator,
): Authenticator {
  const mode = authMode(config);
  if (mode === "none") {
    const anyone: Caller = { id: "anonymous", scopes: everything };
    return { authenticate: () => anyone, entries: [] };
  }
  if (mode === "trusted-proxy") return behindProxy(config);
  const entries = entriesOf(config, secrets);
  const overlapMs = stackOf(config).rotation.overlapSeconds * 1000;
  if (before && overlapMs > 0) entries.push(...retiring(before.entries, entries, now(), overlapMs));

  /**
   * Who was let in, by the whole header. A look-up goes by a hash with a secret seed, so that its time tells a guesser nothing of
   * how near a guess was.
   */
  const known = new Map<string, Entry>();

  function find(headers: IncomingHttpHeaders): Entry {
    const given = bearer(headers);
    if (given === undefined)
      throw new GatewayError("invalid_api_key", "A token is needed: send the header Authorization: Bearer <token>.");
    const hash = digest(given);
    let found: Entry | undefined;
    // All are compared, so that the time does not tell which one was near.
    for (const entry of entries) if (timingSafeEqual(entry.digest, hash)) found ??= entry;
    if (!found) throw new GatewayError("invalid_api_key", unknownToken);
    return found;
  }

  return {
    entries,
    authenticate(headers, socketAddress, clientAddress = socketAddress) {
      const { authorization } = headers;
      const seen = authorization === undefined ? undefined : known.get(authorization);
      const found = seen ?? find(headers);
      const time = now();
      if (time < found.from) throw new GatewayError("invalid_api_key", unknownToken);
      if (time >= found.until) throw new GatewayError("invalid_api_key", "The token has expired.");
      if (found.allowed && !found.allowed(clientAddress))
        throw new GatewayError("address_refused", `The token ${found.caller.id} is not let in from this address.`);
      // A token in another header is not known by this one.
      if (!seen && authorization !== undefined && bearer({ authorization }) !== undefined) {
        if (known.size >= maxKnown) known.clear();
        known.set(authorization, found);
      }
      return found.caller;
    },
  };
}

/** As many clients as are usual; spellings of the same header count too. */
const maxKnown = 1000;
const unknownToken = "The token is not known here.";

/** True for an error that a guesser would get, and somebody whose token ran out would not. */
export const isWrongGuess = (error: unknown): boolean =>
  error instanceof GatewayError && error.code === "invalid_api_key" && error.message === unknownToken;

function entriesOf(config: Config, secrets: Secrets): Entry[] {
  const { auth } = config.gateway;
  const { tokens, rotation } = stackOf(config);
  const mode = authMode(config);
  const shared = mode === "password" ? auth.password : auth.token;
  const entries: Entry[] = [];
  const owner: Caller = { id: mode, scopes: everything };
  if (shared !== undefined) {
    const common = { caller: owner, allowed: undefined, from: 0 };
    entries.push({ ...common, digest: digest(secrets.reveal(shared)), until: always, role: "current" });
    const { previousToken: old } = rotation;
    if (old)
      entries.push({
        ...common,
        digest: digest(secrets.reveal(old.token)),
        until: Date.parse(old.expiresAt),
        role: "previous",
      });
  }
  for (const token of tokens) {
    const common = commonOf(token);
    const until = token.expiresAt ? Date.parse(token.expiresAt) : always;
    entries.push({ ...common, digest: digest(secrets.reveal(token.token)), until, role: "current" });
    const { previous: old } = token;
    if (!old) continue;
    const oldUntil = Math.min(until, Date.parse(old.expiresAt));
    // The old one was let in already: notBefore is the new one's.
    entries.push({ ...common, from: 0, digest: digest(secrets.reveal(old.token)), until: oldUntil, role: "previous" });
  }
  return entries;
}

function commonOf({ id, scopes: granted, allowFrom, notBefore }: TokenConfig) {
  return {
    caller: { id, scopes: new Set(granted) },
    allowed: allowFrom && addressList(allowFrom),
    from: notBefore ? Date.parse(notBefore) : 0,
  };
}

/** Entries whose value was replaced. One whose id is gone was taken away on purpose, and so was a previous one. */
function retiring(before: readonly Entry[], present: readonly Entry[], time: number, overlapMs: number): Entry[] {
  return before.flatMap((old): Entry[] => {
    const heir = present.find((entry) => entry.role === "current" && entry.caller.id === old.caller.id);
    const known = present.some((entry) => entry.digest.equals(old.digest));
    if (!heir || known || old.role === "previous" || old.until <= time) return [];
    const until = old.role === "retiring" ? old.until : Math.min(old.until, time + overlapMs);
    return [{ ...heir, from: old.from, digest: old.digest, until: Math.min(until, heir.until), role: "retiring" }];
  });
}

export function requireScope(caller: Caller, scope: Scope): void {
  if (caller.scopes.has(scope) || caller.scopes.has("operator.admin")) return;
  throw new GatewayError("missing_scope", `The token ${caller.id} lacks the scope ${scope}.`);
}

/** Digests have one length, which the comparison needs, and keep the tokens themselves out of its sight. */
const digest = (text: string): Buffer => hashOnce("sha256", text, "buffer");

function bearer(headers: IncomingHttpHeaders): string | undefined {
  const { authorization } = headers;
  const match = /^Bearer +(\S.*)$/i.exec(authorization ?? "");
  if (match?.[1]) return match[1].trim();
  const key = headers["x-api-key"];
  return typeof key === "string" && key !== "" ? key : undefined;
}

function behindProxy(config: Config): Authenticator {
  const { trustedProxy } = config.gateway.auth;
  const proxies = addressList(config.gateway.trustedProxies);
  return {
    entries: [],
    authenticate(headers, remoteAddress) {
      const refuse = () => new GatewayError("invalid_api_key", "This gateway is reached through its proxy only.");
      if (!trustedProxy || !proxies(remoteAddress)) throw refuse();
      if (trustedProxy.requiredHeaders.some((name) => headers[name.toLowerCase()] === undefined)) throw refuse();
      const user = headers[trustedProxy.userHeader.toLowerCase()];
      if (typeof user !== "string" || user === "") throw refuse();
      if (trustedProxy.allowUsers.length > 0 && !trustedProxy.allowUsers.includes(user))
        throw new GatewayError("missing_scope", "This user is not let in.");
      return { id: "proxy-user", user, scopes: everything };
    },
  };
}
