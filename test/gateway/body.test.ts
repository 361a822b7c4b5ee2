// Rewriting the model's name in the bytes must be what parsing and writing anew would give.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readModelRequest, withModel } from "../../gateway/models/body.ts";
import { randomFrom } from "../support/random.ts";

const cases = [
  '{"model":"a"}',
  '{ "messages" : [ {"model":"inner"} ] ,\n "model" : "a" , "x":1}',
  '{"a":"\\\\","model":"q\\"uote","b":"}"}',
  '{"\\u006dodel":"escaped"}',
  '{"model":null,"x":{"model":"y"}}',
  '{"model":null}',
  '{"model":"a","model":"b"}',
  '{"x":"model","y":["model","model"]}',
  "{}",
  " { } ",
  '{"messages":[]}',
  '{"model":"é🦀","s":"é\\\\\\"🦀"}',
  '{"model2":"a","mode":"b"}',
];
for (const text of cases) {
  test(text, () => {
    const result = withModel(Buffer.from(text), 'new "name"/é').toString("utf8");
    assert.deepEqual(JSON.parse(result), { ...JSON.parse(text), model: 'new "name"/é' });
  });
}

test("the model is named once, in the letters that every server reads", () => {
  const read = (text: string) => readModelRequest(Buffer.from(text));
  assert.equal(read('{"model":"a","models":[],"x":{"Model":1}}').model, "a");
  for (const text of ['{"model":"a","Model":"b"}', '{"MODEL":"b"}', '{"model":"a","\\u004dodel":"b"}'])
    assert.throws(() => read(text), /small letters/, text);
});

test("random objects", () => {
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  const words = ["model", '"', "\\", "}", "{", ",", ":", "é", "\\u0041", "x"];
  const value = (depth: number): unknown => {
    const kind = random(depth > 3 ? 4 : 6);
    if (kind === 0) return random(1000) / 7;
    if (kind === 1) return random(2) === 0;
    if (kind < 4) return Array.from({ length: random(4) }, () => words[random(words.length)]).join("");
    if (kind === 4) return Array.from({ length: random(4) }, () => value(depth + 1));
    return Object.fromEntries(Array.from({ length: random(4) }, () => [words[random(words.length)] ?? "", value(depth + 1)]));
  };
  for (let round = 0; round < 500; round += 1) {
    const object = Object.fromEntries(
      Array.from({ length: random(6) }, (_, index) => [`k${index}${words[random(words.length)]}`, value(0)]),
    );
    const input = random(2) === 0 ? { ...object, model: "old", z: value(0) } : object;
    const text = random(2) === 0 ? JSON.stringify(input) : JSON.stringify(input, null, 2);
    assert.deepEqual(JSON.parse(withModel(Buffer.from(text), "new").toString("utf8")), { ...input, model: "new" }, text);
  }
});

test("the name is put where it belongs, whatever the body holds before, behind and inside", () => {
  const random = randomFrom(17);
  const texts = ["model", '"model"', '"model":', 'a\\"model"', "\\", "{[", "x", "m\u006fdel", "é", '":"'];
  const value = (depth: number): unknown => {
    const kind = random(depth > 3 ? 4 : 7);
    if (kind < 3) return texts[random(texts.length)];
    if (kind === 3) return [1, null, true, -2.5e9][random(4)];
    if (kind === 4) return Array.from({ length: random(4) }, () => value(depth + 1));
    return Object.fromEntries(Array.from({ length: random(4) }, () => [texts[random(texts.length)] ?? "", value(depth + 1)]));
  };
  const space = (): string => ["", " ", "\n\t"][random(3)] ?? "";
  for (let round = 0; round < 5000; round += 1) {
    const parts: [string, unknown][] = Array.from({ length: random(5) }, () => [`k${random(9)}`, value(1)]);
    for (let models = random(3); models > 0; models -= 1) {
      parts.splice(random(parts.length + 1), 0, [
        ["model", "model", "mo\\u0064el"][random(3)] ?? "",
        [null, "", "a", '"model":{'][random(4)],
      ]);
    }
    const pairs = parts.map(
      ([key, of]) => `"${key}"${space()}:${space()}${JSON.stringify(of, undefined, random(3))}${space()}`,
    );
    const text = `${space()}{${space()}${pairs.join(`,${space()}`)}}${space()}`;
    const input: unknown = JSON.parse(text);
    const output: unknown = JSON.parse(withModel(Buffer.from(text), "new").toString("utf8"));
    assert.deepEqual(output, { ...Object(input), model: "new" }, text);
  }
});
