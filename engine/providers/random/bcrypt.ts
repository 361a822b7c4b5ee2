/**
 * bcrypt ($2a$, Provos and Mazières 1999), for RandomPassword's `bcryptHash`; Node's crypto has none. Blowfish's tables are
 * the fraction of pi: they are computed at the first use (about 20 ms), so nothing is spent where no password is made.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";

const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const subkeys = 18;
const boxes = 4 * 256;

/** The hash of a text's first 72 bytes; `cost` is the base-2 logarithm of the rounds. */
export function bcrypt(text: string, cost = 10, salt: Uint8Array = randomBytes(16)): string {
  const key = Buffer.concat([Buffer.from(text).subarray(0, 72), Buffer.of(0)]).subarray(0, 72);
  const { p, s } = initialState();
  expand(p, s, key, salt);
  const none = new Uint8Array(16);
  for (let round = 2 ** cost; round > 0; round--) {
    expand(p, s, key, none);
    expand(p, s, salt, none);
  }
  const words = [...cyclicWords(Buffer.from("OrpheanBeholderScryDoubt"), 6)];
  const pair = new Int32Array(2);
  const out = Buffer.alloc(24);
  for (let i = 0; i < 6; i += 2) {
    pair[0] = words[i] ?? 0;
    pair[1] = words[i + 1] ?? 0;
    for (let round = 0; round < 64; round++) encipher(p, s, pair);
    out.writeInt32BE(pair[0], i * 4);
    out.writeInt32BE(pair[1], i * 4 + 4);
  }
  return `$2a$${String(cost).padStart(2, "0")}$${encode(salt)}${encode(out.subarray(0, 23))}`;
}

/** Whether a hash made by bcrypt belongs to the text; false also where it is not a bcrypt hash. */
export function bcryptMatches(text: string, hash: string): boolean {
  const [, cost, salt] = /^\$2[aby]\$(\d\d)\$([./A-Za-z0-9]{22})[./A-Za-z0-9]{31}$/.exec(hash) ?? [];
  if (cost === undefined || salt === undefined || Number(cost) > 16) return false;
  const again = Buffer.from(bcrypt(text, Number(cost), decode(salt)).slice(4));
  return timingSafeEqual(again, Buffer.from(hash.slice(4)));
}

/** Mixes salt and key into the state (ExpandKey). A salt of zeros makes it Blowfish's own key schedule. */
function expand(p: Int32Array, s: Int32Array, key: Uint8Array, salt: Uint8Array): void {
  const keyWords = cyclicWords(key, subkeys);
  for (let i = 0; i < subkeys; i++) p[i] = (p[i] ?? 0) ^ (keyWords[i] ?? 0);
  const saltWords = cyclicWords(salt, 4);
  const pair = new Int32Array(2);
  let at = 0;
  for (const table of [p, s]) {
    for (let i = 0; i < table.length; i += 2) {
      pair[0] = (pair[0] ?? 0) ^ (saltWords[at] ?? 0);
      pair[1] = (pair[1] ?? 0) ^ (saltWords[at + 1] ?? 0);
      at = (at + 2) & 3;
      encipher(p, s, pair);
      table[i] = pair[0];
      table[i + 1] = pair[1];
    }
  }
}

/** Blowfish's 16 rounds on one block. `| 0` and `>>>` keep everything a 32-bit integer, which is what makes it fast. */
function encipher(p: Int32Array, s: Int32Array, pair: Int32Array): void {
  let left = (pair[0] ?? 0) ^ (p[0] ?? 0);
  let right = pair[1] ?? 0;
  for (let i = 1; i <= 16; i += 2) {
    right ^= mixed(s, left) ^ (p[i] ?? 0);
    left ^= mixed(s, right) ^ (p[i + 1] ?? 0);
  }
  pair[0] = right ^ (p[17] ?? 0);
  pair[1] = left;
}

function mixed(s: Int32Array, x: number): number {
  const sum = ((s[x >>> 24] ?? 0) + (s[256 + ((x >>> 16) & 255)] ?? 0)) | 0;
  return ((sum ^ (s[512 + ((x >>> 8) & 255)] ?? 0)) + (s[768 + (x & 255)] ?? 0)) | 0;
}

/** The bytes as big-endian words, begun again at the end. */
function cyclicWords(bytes: Uint8Array, count: number): Int32Array {
  const words = new Int32Array(count);
  for (let i = 0; i < count * 4; i++) words[i >> 2] = ((words[i >> 2] ?? 0) << 8) | (bytes[i % bytes.length] ?? 0);
  return words;
}

let fraction: Int32Array | undefined;

function initialState(): { p: Int32Array; s: Int32Array } {
  fraction ??= piFraction(subkeys + boxes);
  return { p: fraction.slice(0, subkeys), s: fraction.slice(subkeys) };
}

/** The first words of pi's binary fraction, by Machin's formula: pi = 16 atan(1/5) - 4 atan(1/239). */
function piFraction(count: number): Int32Array {
  const guard = 64n;
  const bits = BigInt(count * 32) + guard;
  const one = 1n << bits;
  const arctan = (x: bigint) => {
    let term = one / x;
    let sum = term;
    for (let n = 3n; term !== 0n; n += 2n) {
      term /= -(x * x);
      sum += term / n;
    }
    return sum;
  };
  const digits = ((16n * arctan(5n) - 4n * arctan(239n)) & (one - 1n)) >> guard;
  const bytes = Buffer.from(digits.toString(16).padStart(count * 8, "0"), "hex");
  return Int32Array.from({ length: count }, (_, i) => bytes.readInt32BE(i * 4));
}

/** bcrypt's own base64: another alphabet, no padding. */
function encode(bytes: Uint8Array): string {
  let bits = "";
  for (const byte of bytes) bits += byte.toString(2).padStart(8, "0");
  return (bits.match(/.{1,6}/g) ?? []).map((six) => alphabet[Number.parseInt(six.padEnd(6, "0"), 2)]).join("");
}

function decode(text: string): Uint8Array {
  const bits = [...text].map((letter) => alphabet.indexOf(letter).toString(2).padStart(6, "0")).join("");
  return Uint8Array.from((bits.match(/.{8}/g) ?? []).map((eight) => Number.parseInt(eight, 2)));
}
