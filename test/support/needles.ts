/** Looks for many texts in one pass over bytes: by Wu and Manber's method, which skips most of them. */

export interface Needles {
  /** Numbers of those that occur. `seen` are added to. */
  find(bytes: Uint8Array, seen?: Set<number>): Set<number>;
  /** Of the longest: this many bytes less one are kept when a file is read in pieces. */
  readonly longest: number;
}

/** Of what a step looks at: three bytes tell texts apart well, in a table that fits a processor's cache. */
const block = 3;
const tableBits = 16;

const hash = (a: number, b: number, c: number): number => (a ^ (b << 5) ^ (c << 9)) & ((1 << tableBits) - 1);

export function createNeedles(needles: readonly Uint8Array[]): Needles {
  const shortest = Math.min(...needles.map(({ length }) => length));
  if (needles.length === 0 || shortest < block) throw new Error(`texts of at least ${block} bytes can be looked for`);
  /** How far the next place may be where a needle could end its first `shortest` bytes. */
  const steps = new Uint8Array(1 << tableBits).fill(Math.min(255, shortest - block + 1));
  const ending = new Map<number, number[]>();
  for (const [number, needle] of needles.entries()) {
    for (let end = block; end <= shortest; end++) {
      const at = hash(needle[end - 3] ?? 0, needle[end - 2] ?? 0, needle[end - 1] ?? 0);
      steps[at] = Math.min(steps[at] ?? 0, shortest - end);
      if (end === shortest) ending.set(at, [...(ending.get(at) ?? []), number]);
    }
  }
  const isAt = (bytes: Uint8Array, needle: Uint8Array, start: number): boolean => {
    for (let index = 0; index < needle.length; index++) if (bytes[start + index] !== needle[index]) return false;
    return true;
  };
  return {
    longest: Math.max(...needles.map(({ length }) => length)),
    find(bytes, seen = new Set()) {
      for (let at = shortest - 1; at < bytes.length; ) {
        const key = hash(bytes[at - 2] ?? 0, bytes[at - 1] ?? 0, bytes[at] ?? 0);
        const step = steps[key] ?? 0;
        if (step > 0) {
          at += step;
          continue;
        }
        for (const number of ending.get(key) ?? []) {
          const needle = needles[number];
          if (needle && !seen.has(number) && isAt(bytes, needle, at - shortest + 1)) seen.add(number);
        }
        at++;
      }
      return seen;
    },
  };
}
