// The way in: where a request comes from, who sends it, and who is kept out for guessing or for asking too often.
import type { IncomingHttpHeaders } from "node:http";
import type { Config } from "../config/schema.ts";
import type { StackConfig } from "../config/stack.ts";
import { GatewayError } from "../errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Meter, Rule, Taken } from "../store/allowances.ts";
import { type Authenticator, type Caller, isWrongGuess } from "./auth.ts";
import { addressGroup, type ClientAddress, isLoopbackAddress } from "./client-address.ts";

export interface Entrance {
  /** The client's, also behind trusted proxies. */
  addressOf(headers: IncomingHttpHeaders, socketAddress: string): string;
  /**
   * Throws GatewayError: `too_many_attempts` while the address is locked out, even for the right token; else what
   * the authenticator says. Wrong tokens are counted.
   */
  identify(headers: IncomingHttpHeaders, socketAddress: string, address: string): Caller;
  /** One more request from there. Throws, or rejects with, GatewayError `rate_limit_exceeded`; undefined: it may go on. */
  count(address: string): Promise<void> | undefined;
}

interface Deps {
  readonly metrics: Pick<Metrics, "limitsRejected" | "lockouts">;
  readonly meter: Meter;
  /** Whatever is in force now. */
  readonly settings: () => {
    readonly config: Config;
    readonly stack: StackConfig;
    readonly auth: Authenticator;
    readonly clientAddress: ClientAddress;
  };
  /** Other processes of this gateway: what one locks out all refuse. */
  readonly others?: {
    tellLockout(lockout: { group: string; forMs: number }): void;
    onLockout(handler: (lockout: { group: string; forMs: number }) => void): void;
  };
  /** Milliseconds that never go back. */
  readonly now?: () => number;
}

/** Addresses that are locked out at the same time; the one locked first goes first. */
const maxLocked = 10_000;

export function createEntrance({ metrics, meter, settings, others, now = () => performance.now() }: Deps): Entrance {
  /** By group of addresses: until when. */
  const locked = new Map<string, number>();

  function refuseLocked(group: string): void {
    const until = locked.get(group);
    if (until === undefined) return;
    const left = until - now();
    if (left <= 0) {
      locked.delete(group);
      return;
    }
    metrics.limitsRejected.add(1, "lockout", "none");
    throw new GatewayError(
      "too_many_attempts",
      "Too many wrong tokens came from this address: it is locked out for a while, whatever it sends.",
      { retryAfter: String(Math.ceil(left / 1000)) },
    );
  }

  function lockOut(group: string, forMs: number): void {
    locked.delete(group);
    locked.set(group, now() + forMs);
    for (const oldest of locked.keys()) {
      if (locked.size <= maxLocked) break;
      locked.delete(oldest);
    }
  }
  // Counted where it began.
  others?.onLockout(({ group, forMs }) => lockOut(group, forMs));

  function countGuess(group: string, { maxAttempts, windowMs, lockoutMs }: LockoutSettings): void {
    const rule: Rule = { kind: "window", limit: maxAttempts, windowMs };
    const note = ({ ok, remaining }: Taken): void => {
      if (ok && remaining > 0) return;
      if (!locked.has(group)) metrics.lockouts.add(1);
      lockOut(group, lockoutMs);
      others?.tellLockout({ group, forMs: lockoutMs });
    };
    const taken = meter.take(`address:guesses:${group}`, 1, rule);
    if (taken instanceof Promise) taken.then(note, () => undefined);
    else note(taken);
  }

  return {
    addressOf: (headers, socketAddress) => settings().clientAddress(headers, socketAddress),
    identify(headers, socketAddress, address) {
      const { config, auth } = settings();
      const lockout = config.gateway.auth.rateLimit;
      const exempt = !lockout || (lockout.exemptLoopback && isLoopbackAddress(address));
      if (exempt) return auth.authenticate(headers, socketAddress, address);
      const group = addressGroup(address);
      refuseLocked(group);
      try {
        return auth.authenticate(headers, socketAddress, address);
      } catch (error) {
        if (isWrongGuess(error)) countGuess(group, lockout);
        throw error;
      }
    },
    count(address) {
      const limit = settings().stack.rateLimit?.maxRequestsPerMinutePerAddress;
      if (limit === undefined) return undefined;
      const taken = meter.take(`address:requests:${addressGroup(address)}`, 1, { kind: "window", limit, windowMs: 60_000 });
      const check = ({ ok, retryAfterMs }: Taken): undefined => {
        if (ok) return undefined;
        metrics.limitsRejected.add(1, "address", "none");
        throw new GatewayError(
          "rate_limit_exceeded",
          `More than ${limit} requests a minute came from this address (rateLimit.maxRequestsPerMinutePerAddress).`,
          { retryAfter: String(Math.max(1, Math.ceil(retryAfterMs / 1000))) },
        );
      };
      return taken instanceof Promise ? taken.then(check) : check(taken);
    },
  };
}

type LockoutSettings = NonNullable<Config["gateway"]["auth"]["rateLimit"]>;
