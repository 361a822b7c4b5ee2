/** Integers and permutations: from a seed as Go's math/rand gives them, otherwise from the system's randomness. */
import { randomBytes, randomInt } from "node:crypto";
import type { Value } from "../../values.ts";
import { createGoRand } from "./go-rand.ts";

/** min <= result <= max. Throws an Error where max is below min. */
export function randomInteger(min: number, max: number, seed: string): number {
  if (max < min) {
    throw new Error(
      "Create Random Integer Error: The minimum (minVal) value needs to be smaller than or equal to maximum (maxVal) value.",
    );
  }
  const range = BigInt(max) - BigInt(min) + 1n;
  const offset = seed ? createGoRand(seed).intn(range) : below(range);
  return Number(BigInt(min) + offset);
}

/** Whole permutations, one after the other, until there are `count` items. */
export function shuffled(items: Value[], count: number, seed: string): Value[] {
  if (items.length === 0 || count === 0) return [];
  const generator = seed ? createGoRand(seed) : undefined;
  const permutation = generator?.perm ?? cryptoPermutation;
  const out: Value[] = [];
  do {
    for (const index of permutation(items.length)) {
      out.push(items[index] ?? null);
      if (out.length >= count) return out;
    }
  } while (out.length < count);
  return out;
}

function cryptoPermutation(n: number): number[] {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = randomInt(i + 1);
    const other = order[j] ?? 0;
    order[j] = order[i] ?? 0;
    order[i] = other;
  }
  return order;
}

/** Without bias: values past the last whole multiple of the range are drawn again. */
function below(range: bigint): bigint {
  const limit = (1n << 64n) - ((1n << 64n) % range);
  for (;;) {
    const value = randomBytes(8).readBigUInt64BE();
    if (value < limit) return value % range;
  }
}
