/** Compares answers of two daemons: ids and addresses may be others, but the same one each time (a bijection). */
import assert from "node:assert/strict";
import { isMap, type Value } from "../../engine/values.ts";

export interface SameAnswers {
  /** What was recorded, in our daemon's words. */
  ours(recorded: Value): Value;
  text(recorded: string): string;
  /** Something else that is decided by chance. */
  learn(recorded: string, ours: string): void;
  /** Learns what was decided by chance wherever both have something; other differences are no matter. */
  learnFrom(recorded: Value | undefined, ours: Value | undefined): void;
  /** Fails where they differ by more than what a daemon decides by chance. */
  same(recorded: Value | undefined, ours: Value | undefined, path: string): void;
}

/** What a daemon decides by itself; both sides must look like it. */
const decided: readonly RegExp[] = [
  /^[0-9a-f]{64}$/,
  /^[0-9a-f]{12}$/,
  /^sha256:[0-9a-f]{64}(spike:1)?$/,
  /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/,
  /^\d+\.\d+\.\d+\.\d+(\/\d+)?$/,
  /^\/.*\/volumes\/[\w-]+\/_data$/,
];

export function sameAnswers(known: readonly (readonly [string, string])[]): SameAnswers {
  const forward = new Map<string, string>(known);
  const back = new Map<string, string>(known.map(([a, b]) => [b, a]));

  function bind(recorded: string, ours: string, path: string): void {
    assert.equal(forward.get(recorded) ?? ours, ours, `${path}: ${recorded} was another before`);
    assert.equal(back.get(ours) ?? recorded, recorded, `${path}: ${ours} stood for another before`);
    forward.set(recorded, ours);
    back.set(ours, recorded);
  }

  function text(recorded: string): string {
    let out = recorded;
    for (const [from, to] of [...forward].sort(([a], [b]) => b.length - a.length))
      out = out.replaceAll(from, `\u0001${to}\u0002`);
    return [...out].filter((letter) => letter !== "\u0001" && letter !== "\u0002").join("");
  }

  function ours(recorded: Value): Value {
    if (typeof recorded === "string") return text(recorded);
    if (Array.isArray(recorded)) return recorded.map(ours);
    if (isMap(recorded)) return Object.fromEntries(Object.entries(recorded).map(([key, value]) => [key, ours(value)]));
    return recorded;
  }

  function same(recorded: Value | undefined, now: Value | undefined, path: string): void {
    if (typeof recorded === "string" && typeof now === "string") {
      if (byChance(recorded, now)) bindAll(recorded, now, path);
      else assert.equal(now, text(recorded), path);
    } else if (Array.isArray(recorded) && Array.isArray(now)) {
      assert.equal(now.length, recorded.length, `${path}: length`);
      for (const [index, item] of recorded.entries()) same(item, now[index], `${path}[${index}]`);
    } else if (isMap(recorded) && isMap(now)) {
      assert.deepEqual(Object.keys(now).sort(), Object.keys(recorded).sort(), `${path}: names`);
      for (const key of Object.keys(recorded)) same(recorded[key], now[key], `${path}.${key}`);
    } else assert.deepEqual(now, recorded, path);
  }

  function bindAll(recorded: string, now: string, path: string): void {
    bind(recorded, now, path);
    const [a, b] = [recorded, now].map((value) => /^(?:sha256:)?([0-9a-f]{64})/.exec(value)?.[1]);
    if (a && b) {
      bind(a, b, path);
      bind(a.slice(0, 12), b.slice(0, 12), path);
    }
  }

  function learnFrom(recorded: Value | undefined, now: Value | undefined): void {
    if (typeof recorded === "string" && typeof now === "string") {
      if (byChance(recorded, now)) bindAll(recorded, now, "learnt");
    } else if (Array.isArray(recorded) && Array.isArray(now)) {
      for (const [index, item] of recorded.entries()) learnFrom(item, now[index]);
    } else if (isMap(recorded) && isMap(now)) {
      for (const key of Object.keys(recorded)) learnFrom(recorded[key], now[key]);
    }
  }

  return { ours, text, same, learn: (recorded, now) => bind(recorded, now, "learnt"), learnFrom };
}

function byChance(recorded: string, ours: string): boolean {
  return decided.some((form) => form.test(recorded) && form.test(ours));
}
