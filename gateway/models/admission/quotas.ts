// What was bought of each provider: which of its keys a call goes with, or until when it has to wait.
import type { QuotaConfig } from "../../config/admission.ts";
import type { SecretInput } from "../../config/fields.ts";
import type { Meter } from "../../store/allowances.ts";
import { type Account, type Charge, createAccount } from "./account.ts";
import type { Clock } from "./clock.ts";

export interface Quota {
  readonly providerId: string;
  readonly countsTokens: boolean;
  /** 0: a call may go now, with one of the keys. Infinity: when another one ends. */
  waitMs(tokens: number): number;
  waitForMs(count: number, tokens: number): number;
  /** Other processes are being asked for a part of it. */
  isAsking(): boolean;
  take(tokens: number): Ticket | undefined;
  list(): readonly { readonly key: string; readonly left: number; readonly active: number; readonly waitMs: number }[];
}

export interface Ticket extends Charge {
  readonly key: SecretInput | undefined;
  readonly keyId: string;
  /** The provider refused this key with 429; where it did not say for how long, the key rests longer each time. */
  refused(): void;
}

interface Deps {
  readonly clock: Clock;
  readonly meter: Meter | undefined;
  readonly onOpen: () => void;
}

/** A key that is refused without a word on how long rests this long, and longer each time in a row. */
const restMs = 1000;
const maxRestMs = 60_000;

export function createQuota(providerId: string, config: QuotaConfig, deps: Deps): Quota {
  const { windowMs, guardMs, keys, ...bought } = config;
  const { clock, meter, onOpen } = deps;
  const account = (id: string, key: SecretInput | undefined, limits: typeof bought): Account =>
    createAccount({
      id,
      key,
      bought: limits,
      windowMs,
      guardMs,
      clock,
      shared: meter && { meter, name: id === "" ? providerId : `${providerId}:${id}` },
      onOpen,
    });
  /** What the provider as a whole allows; with one key there is nothing else. */
  const whole = account("", undefined, bought);
  const own = keys.map(({ id, apiKey, ...limits }) => account(id, apiKey, limits));
  const refusals = new Map<Account, number>();

  function best(tokens: number): Account | undefined {
    let found: Account | undefined;
    let most = -1;
    for (const one of own) {
      if (one.waitMs(tokens) > 0) continue;
      // Of equally full ones the one with less to do.
      const left = one.left() - one.active * 1e-6;
      if (left > most) [found, most] = [one, left];
    }
    return found;
  }

  const soonest = (waitOf: (one: Account) => number): number => (own.length === 0 ? 0 : Math.min(...own.map(waitOf)));

  function take(tokens: number): Ticket | undefined {
    if (whole.waitMs(tokens) > 0) return undefined;
    const chosen = best(tokens);
    if (!chosen && own.length > 0) return undefined;
    const ofKey = chosen?.charge(tokens);
    if (chosen && !ofKey) return undefined;
    const ofWhole = whole.charge(tokens);
    if (!ofWhole) {
      ofKey?.end(false, undefined);
      return undefined;
    }
    const blamed = chosen ?? whole;
    let told = false;
    return {
      key: chosen?.key,
      keyId: chosen?.id ?? "",
      headers(status, header) {
        if (status < 300) refusals.delete(blamed);
        // What a provider says in its answer is about the key.
        if (ofKey) {
          told = ofKey.headers(status, header);
          ofWhole.headers(status, silent);
        } else told = ofWhole.headers(status, header);
        return told;
      },
      end(sent, used) {
        ofKey?.end(sent, used);
        ofWhole.end(sent, used);
      },
      refused() {
        if (told) return;
        const times = (refusals.get(blamed) ?? 0) + 1;
        refusals.set(blamed, times);
        blamed.block(Math.min(maxRestMs, restMs * 2 ** (times - 1)));
      },
    };
  }

  return {
    providerId,
    countsTokens: [config, ...keys].some(({ tokensPerMinute }) => tokensPerMinute !== undefined),
    waitMs: (tokens) =>
      Math.max(
        whole.waitMs(tokens),
        soonest((one) => one.waitMs(tokens)),
      ),
    waitForMs: (count, tokens) =>
      Math.max(
        whole.waitForMs(count, tokens),
        soonest((one) => one.waitForMs(Math.ceil(count / Math.max(1, own.length)), tokens)),
      ),
    isAsking: () => whole.isAsking() || own.some((one) => one.isAsking()),
    take,
    list: () =>
      (own.length > 0 ? own : [whole]).map((one) => ({
        key: one.id === "" ? "apiKey" : one.id,
        left: Math.round(one.left() * 1000) / 1000,
        active: one.active,
        waitMs: Math.round(Math.min(one.waitMs(0), Number.MAX_SAFE_INTEGER)),
      })),
  };
}

const silent = (): undefined => undefined;
