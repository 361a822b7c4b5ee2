/**
 * The generator of Go's math/rand, which the official random provider uses where a seed is given: the same seed must
 * give the same integer and the same permutation here (go/src/math/rand/rng.go and rand.go; crc64 with the ISO polynomial).
 */

const length = 607;
const tapDistance = 273;
const int32Max = 2 ** 31 - 1;
const mask64 = (1n << 64n) - 1n;

export interface GoRand {
  /** 0 <= result < n. */
  intn(n: bigint): bigint;
  /** A permutation of 0 … n-1. */
  perm(n: number): number[];
}

export function createGoRand(seed: string): GoRand {
  const next = createSource(BigInt.asIntN(64, crc64(seed)));
  const int63 = () => next() & (mask64 >> 1n);
  const int31 = () => int63() >> 32n;
  const bounded = (n: bigint, draw: () => bigint, range: bigint): bigint => {
    if ((n & (n - 1n)) === 0n) return draw() & (n - 1n);
    const max = range - 1n - (range % n);
    let value = draw();
    while (value > max) value = draw();
    return value % n;
  };
  const intn = (n: bigint) => (n < 1n << 31n ? bounded(n, int31, 1n << 31n) : bounded(n, int63, 1n << 63n));
  return {
    intn,
    perm(n) {
      const order: number[] = [];
      for (let i = 0; i < n; i++) {
        const j = Number(intn(BigInt(i + 1)));
        order[i] = order[j] ?? i;
        order[j] = i;
      }
      return order;
    },
  };
}

/** An additive lagged Fibonacci generator: x[n] = x[n-607] + x[n-273] modulo 2^64. */
function createSource(seed: bigint): () => bigint {
  const state = seededState(Number(seed % BigInt(int32Max)), [40n, 20n]);
  cookedState().forEach((value, i) => {
    state[i] = (state[i] ?? 0n) ^ value;
  });
  let tap = 0;
  let feed = length - tapDistance;
  return () => {
    tap = (tap + length - 1) % length;
    feed = (feed + length - 1) % length;
    const sum = BigInt.asUintN(64, (state[feed] ?? 0n) + (state[tap] ?? 0n));
    state[feed] = sum;
    return sum;
  };
}

/** Fills the state from a Lehmer generator; Go uses other shifts for a seed than for its table. */
function seededState(seed: number, [first, second]: [bigint, bigint]): BigUint64Array {
  let x = seed < 0 ? seed + int32Max : seed;
  if (x === 0) x = 89482311;
  const step = () => {
    x = Number((48271n * BigInt(x)) % BigInt(int32Max));
    return BigInt(x);
  };
  for (let i = 0; i < 20; i++) step();
  const state = new BigUint64Array(length);
  for (let i = 0; i < length; i++) state[i] = (step() << first) ^ (step() << second) ^ step();
  return state;
}

let cooked: BigUint64Array | undefined;

/**
 * The state after 7.8e12 steps from seed 1, which Go ships as a table (gen_cooked.go). The recurrence is linear, so the
 * steps are taken at once: z[N+i] is the sum of c[j] * z[j+i], where c is x^N modulo x^607 - x^334 - 1.
 */
function cookedState(): BigUint64Array {
  if (cooked) return cooked;
  const steps = 7_800_000_000_000n;
  let power: BigUint64Array = new BigUint64Array(length);
  power[0] = 1n;
  for (const bit of steps.toString(2)) {
    const square = multiply(power, power);
    power = reduce(bit === "1" ? shifted(square) : square);
  }
  const initial = seededState(1, [20n, 10n]);
  // Step k changes index (334 - k) mod 607, and the values before the first step count as steps -606 … 0.
  const index = (k: bigint) => Number((((334n - k) % 607n) + 607n) % 607n);
  const z = new BigUint64Array(2 * length);
  for (let n = 0; n < z.length; n++) {
    z[n] = n < length ? (initial[index(BigInt(n) - 606n)] ?? 0n) : (z[n - length] ?? 0n) + (z[n - tapDistance] ?? 0n);
  }
  // A correlation is a multiplication with one side reversed.
  const product = multiply(power.toReversed(), z);
  const table = new BigUint64Array(length);
  for (let i = 0; i < length; i++) table[index(steps + BigInt(i) - 606n)] = product[length - 1 + i] ?? 0n;
  cooked = table;
  return table;
}

/** Multiplies two polynomials as two very large integers: each coefficient has a slot that no sum of products overflows. */
function multiply(a: BigUint64Array, b: BigUint64Array): BigUint64Array {
  const slot = 18;
  const pack = (values: BigUint64Array) => {
    const bytes = Buffer.alloc(values.length * slot);
    values.forEach((value, i) => {
      bytes.writeBigUInt64BE(value, (values.length - i) * slot - 8);
    });
    return BigInt(`0x${bytes.toString("hex")}`);
  };
  const size = a.length + b.length;
  const digits = (pack(a) * pack(b)).toString(16).padStart(size * slot * 2, "0");
  const bytes = Buffer.from(digits, "hex");
  return BigUint64Array.from({ length: size }, (_, i) => bytes.readBigUInt64BE((size - i) * slot - 8));
}

function shifted(values: BigUint64Array): BigUint64Array {
  const out = new BigUint64Array(values.length + 1);
  out.set(values, 1);
  return out;
}

function reduce(values: BigUint64Array): BigUint64Array {
  for (let n = values.length - 1; n >= length; n--) {
    const value = values[n] ?? 0n;
    values[n - length] = (values[n - length] ?? 0n) + value;
    values[n - tapDistance] = (values[n - tapDistance] ?? 0n) + value;
  }
  return values.slice(0, length);
}

function crc64(text: string): bigint {
  let crc = mask64;
  for (const byte of Buffer.from(text)) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0xd800000000000000n : crc >> 1n;
  }
  return crc ^ mask64;
}
