/** The random provider's values: forms, distribution, seeds, imports and older states. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ProviderError } from "../../engine/providers/provider.ts";
import { bcrypt, bcryptMatches } from "../../engine/providers/random/bcrypt.ts";
import { randomString } from "../../engine/providers/random/characters.ts";
import { createGoRand } from "../../engine/providers/random/go-rand.ts";
import { petName } from "../../engine/providers/random/pet.ts";
import { adjectives, adverbs, names } from "../../engine/providers/random/pet-words.ts";
import { createRandomProvider } from "../../engine/providers/random/provider.ts";
import { randomInteger, shuffled } from "../../engine/providers/random/seeded.ts";
import { uuid7 } from "../../engine/providers/random/uuid.ts";
import { isMap, type PropertyMap, type Value } from "../../engine/values.ts";
import { withoutSecretMarks } from "../support/provider-conformance.ts";

const provider = createRandomProvider();
const signal = new AbortController().signal;
const urnOf = (type: string) => `urn:pulumi:dev::p::random:index/${type.charAt(0).toLowerCase()}${type.slice(1)}:${type}::x`;
const create = async (type: string, properties: PropertyMap) => await provider.create({ urn: urnOf(type), properties }, signal);
const importById = async (type: string, id: string) => await provider.read({ urn: urnOf(type), id }, signal);
const clear = (map: PropertyMap | undefined) => withoutSecretMarks(map ?? {});

test("a seed gives what Go's math/rand gives", () => {
  // Printed by a Go program that seeds math/rand with the CRC of the text, as the official provider does.
  const vectors: [string, bigint[], number[]][] = [
    ["s", [7n, 725252n, 349228483643n, 781n], [7, 5, 3, 2, 0, 6, 1, 4]],
    ["ünï", [2n, 980013n, 1098290908231n, 295n], [0, 2, 5, 3, 4, 6, 7, 1]],
    ["12345", [2n, 299832n, 635016357598n, 860n], [3, 1, 7, 5, 4, 2, 0, 6]],
    ["a long seed with spaces", [7n, 508449n, 3469074118n, 14n], [5, 2, 4, 0, 1, 3, 6, 7]],
  ];
  for (const [seed, numbers, permutation] of vectors) {
    const rand = createGoRand(seed);
    const bounds = [9n, 1_000_000n, (1n << 40n) + 7n, 1024n];
    assert.deepEqual(
      bounds.map((bound) => rand.intn(bound)),
      numbers,
    );
    assert.deepEqual(rand.perm(8), permutation);
  }
});

test("integers keep to their bounds and use all of them", () => {
  const counts = new Map<number, number>();
  for (let i = 0; i < 6000; i++) {
    const value = randomInteger(-2, 3, "");
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  assert.deepEqual(
    [...counts.keys()].sort((a, b) => a - b),
    [-2, -1, 0, 1, 2, 3],
  );
  // 1000 expected; seven standard deviations away happens once in 10^11 runs.
  for (const count of counts.values()) assert.ok(Math.abs(count - 1000) < 7 * 29, `${count} of 6000`);
  assert.equal(randomInteger(5, 5, ""), 5);
  assert.equal(randomInteger(5, 5, "seed"), 5);
});

test("a shuffle repeats an item only when all were used", () => {
  for (const seed of ["", "seed"]) {
    const result = shuffled(["a", "b", "c"], 7, seed);
    assert.equal(result.length, 7);
    assert.deepEqual([...result.slice(0, 3)].sort(), ["a", "b", "c"]);
    assert.deepEqual([...result.slice(3, 6)].sort(), ["a", "b", "c"]);
  }
  assert.deepEqual(shuffled([], 3, ""), []);
  assert.deepEqual(shuffled(["a"], 0, "s"), []);
  const orders = new Set(Array.from({ length: 300 }, () => shuffled(["a", "b", "c"], 3, "").join("")));
  assert.equal(orders.size, 6);
});

test("strings hold the least number of each class, and only allowed characters", () => {
  const all = { lower: true, upper: true, numeric: true, special: true };
  for (let i = 0; i < 200; i++) {
    const text = randomString({
      ...all,
      length: 12,
      minLower: 2,
      minUpper: 3,
      minNumeric: 4,
      minSpecial: 3,
      overrideSpecial: "é😀",
    });
    const count = (pattern: RegExp) => (text.match(pattern) ?? []).length;
    assert.equal([...text].length, 12);
    assert.ok(count(/[a-z]/g) >= 2 && count(/[A-Z]/g) >= 3 && count(/\d/g) >= 4 && count(/[é😀]/gu) >= 3, text);
    assert.match(text, /^[a-zA-Z0-9é😀]+$/u);
  }
  const binary = Array.from({ length: 100 }, () => randomString({ length: 60, special: true, overrideSpecial: "01" })).join("");
  assert.ok(Math.abs(binary.replaceAll("0", "").length - 3000) < 7 * 39, "both characters are equally likely");
  assert.throws(() => randomString({ length: 4 }), /character set specified is empty/);
});

test("bcrypt agrees with other implementations", () => {
  // The first two were made by the official provider, the others are the vectors of Openwall's crypt_blowfish.
  assert.ok(bcryptMatches("QUCzf1UNiu0pMtaR8TCgtx5lxeTaL0p3", "$2a$10$3TxeDqXtg2Es3JpuQpm1huf8C0MKQLf2gwNEJ.l7DSurc0Gn5YgdS"));
  assert.ok(bcryptMatches("#z3qXzWNGN0i", "$2a$10$J3/JUIa7Ls.avZNhRWwk9egZvjBOO0cVTvdXPCJjLldh2lC07AoTW"));
  assert.ok(bcryptMatches("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
  assert.ok(bcryptMatches("U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"));
  assert.ok(bcryptMatches("", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"));
  assert.ok(!bcryptMatches("#z3qXzWNGN0j", "$2a$10$J3/JUIa7Ls.avZNhRWwk9egZvjBOO0cVTvdXPCJjLldh2lC07AoTW"));
  assert.ok(!bcryptMatches("x", "no hash"));
  const long = "é".repeat(40);
  assert.ok(bcryptMatches(long.slice(0, 36), bcrypt(long, 4)), "72 bytes count");
  assert.notEqual(bcrypt("same", 4), bcrypt("same", 4), "each has its own salt");
});

test("pets have as many words as asked for", () => {
  assert.ok(new Set(names).size === names.length && names.length > 200);
  assert.ok([...adverbs, ...adjectives, ...names].every((word) => /^[a-z]+$/.test(word)));
  assert.ok(names.includes(petName(1, "-", "")));
  for (let i = 0; i < 50; i++) {
    const [prefix, adverb = "", adjective = "", name = ""] = petName(3, "_", "my").split("_");
    assert.equal(prefix, "my");
    assert.ok(adverbs.includes(adverb) && adjectives.includes(adjective) && names.includes(name));
  }
});

test("version 7 UUIDs are in the order of their making", () => {
  const ids = Array.from({ length: 1000 }, () => uuid7());
  assert.deepEqual([...ids].sort(), ids);
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const at = Number.parseInt((ids[0] ?? "").replace("-", "").slice(0, 12), 16);
  assert.ok(Math.abs(Date.now() - at) < 60_000);
});

test("an id shows the same bytes in every form", async () => {
  const { id, properties } = await create("RandomId", { byteLength: 9, prefix: "p." });
  const bytes = Buffer.from(String(id), "base64url");
  assert.equal(bytes.length, 9);
  assert.equal(properties?.hex, `p.${bytes.toString("hex")}`);
  assert.equal(properties?.b64Std, `p.${bytes.toString("base64")}`);
  assert.equal(properties?.b64Url, `p.${id}`);
  assert.equal(properties?.dec, `p.${BigInt(`0x${bytes.toString("hex")}`)}`);
});

test("what is imported equals what would have been created", async () => {
  const cases: [string, string, PropertyMap, PropertyMap][] = [
    ["RandomId", "p.,3q2-7w", { byteLength: 4, prefix: "p." }, { id: "3q2-7w", hex: "p.deadbeef", dec: "p.3735928559" }],
    ["RandomBytes", "3q2+7w==", { length: 4 }, { hex: "deadbeef" }],
    ["RandomInteger", "7,1,9,seed", { min: 1, max: 9, seed: "seed" }, { result: 7, id: "7" }],
    ["RandomInteger", "-7,-9,9", { min: -9, max: 9 }, { result: -7 }],
    [
      "RandomString",
      "abc",
      { length: 3, lower: true, number: true, numeric: true, special: true, upper: true },
      { result: "abc", minLower: 0 },
    ],
    ["RandomUuid4", "{11111111-2222-3333-4444-55555555AAAA}", {}, { result: "11111111-2222-3333-4444-55555555aaaa" }],
  ];
  for (const [type, id, inputs, outputs] of cases) {
    const read = await importById(type, id);
    assert.deepEqual(read.inputs, inputs, type);
    const properties = clear(read.properties);
    for (const [name, value] of Object.entries(outputs)) assert.equal(properties[name], value, `${type} ${name}`);
    const diff = await provider.diff({ id: read.id ?? "", urn: urnOf(type), olds: properties, news: read.inputs });
    assert.equal(diff.changes, "DIFF_NONE", type);
  }
  const password = await importById("RandomPassword", "hunter2!");
  assert.equal(password.id, "none");
  assert.ok(bcryptMatches("hunter2!", String(clear(password.properties).bcryptHash)));
});

test("a malformed import id is refused with what is wrong", async () => {
  const cases: [string, string, RegExp][] = [
    ["RandomId", "a+b", /^Import Random ID Error/],
    ["RandomBytes", "a-b", /^Import Random bytes Error/],
    ["RandomInteger", "1,2", /expecting \{result\},\{min\},\{max\}/],
    ["RandomInteger", "1,x,3", /min value supplied could not be parsed/],
    ["RandomUuid", "11111111-2222", /uuid string is wrong length/],
    ["RandomUuid7", "nothing", /invalid UUID length: 7/],
    ["RandomPet", "any", /cannot be imported/],
  ];
  for (const [type, id, text] of cases) {
    await assert.rejects(
      importById(type, id),
      (error) => error instanceof ProviderError && text.test(error.message),
      `${type} ${id}`,
    );
  }
});

test("a keeper that comes, goes or changes replaces; nulls do not", async () => {
  const diff = async (before: Value, after: Value) => {
    const { id, properties } = await create("RandomUuid", before === null ? {} : { keepers: before });
    return await provider.diff({
      id: id ?? "",
      urn: urnOf("RandomUuid"),
      olds: properties,
      news: after === null ? {} : { keepers: after },
    });
  };
  const replace = { changes: "DIFF_SOME", diffs: ["keepers"], replaces: ["keepers"] };
  assert.deepEqual(await diff({ a: "1" }, { a: "2" }), replace);
  assert.deepEqual(await diff({ a: "1" }, { a: "1", b: "1" }), replace);
  assert.deepEqual(await diff({ a: "1" }, null), replace);
  assert.deepEqual(await diff(null, { a: "1" }), replace);
  assert.deepEqual(await diff({ a: "1" }, { a: 1 }), { changes: "DIFF_NONE" }, "numbers are taken as text");
  assert.deepEqual(await diff(null, { a: null }), { changes: "DIFF_SOME", diffs: ["keepers"] });
});

test("states of older providers stay as they are", async () => {
  const old = { id: "none", length: 7, result: "hunter2", lower: true, upper: true, number: true, special: true, minLower: 0 };
  const request = { id: "none", urn: urnOf("RandomPassword"), olds: old, news: { length: 7 } };
  assert.deepEqual(await provider.diff(request), { changes: "DIFF_NONE" });
  const read = await provider.read(
    { id: "none", urn: urnOf("RandomPassword"), properties: old, inputs: { length: 7 } },
    signal,
  );
  const state = clear(read.properties);
  assert.equal(state.result, "hunter2");
  assert.equal(state.numeric, true);
  assert.equal(state.minSpecial, 0);
  assert.ok(bcryptMatches("hunter2", String(state.bcryptHash)));
  // Version 3.4.2 stored an empty string where nothing was given.
  const { properties } = await create("RandomString", { length: 3 });
  const empty = { ...clear(properties), overrideSpecial: "" };
  const diff = await provider.diff({ id: "x", urn: urnOf("RandomString"), olds: empty, news: { length: 3 } });
  assert.deepEqual(diff, { changes: "DIFF_SOME", diffs: ["overrideSpecial"] });
});

test("number and numeric are one setting", async () => {
  const settings: PropertyMap[] = [{ number: false }, { numeric: false }];
  for (const inputs of settings) {
    const { properties } = await create("RandomString", { length: 40, ...inputs });
    assert.equal(properties?.number, false);
    assert.equal(properties?.numeric, false);
    assert.doesNotMatch(String(properties?.result), /\d/);
  }
  await assert.rejects(
    create("RandomString", { length: 4, number: true, numeric: false }),
    /both configured with different values/,
  );
});

test("secrets are marked where the official provider marks them", async () => {
  const { properties } = await create("RandomPassword", { length: 8 });
  assert.deepEqual(
    Object.entries(properties ?? {}).flatMap(([name, value]) => (isMap(value) && "value" in value ? [name] : [])),
    ["result", "bcryptHash"],
  );
});
