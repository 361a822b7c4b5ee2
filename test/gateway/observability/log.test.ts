// Lines of the log: JSON whatever the values are, the access line the same as one of single fields, gathered in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createFinder, createRedaction } from "../../../gateway/config/redaction.ts";
import { type AccessFields, createLog } from "../../../gateway/observability/log.ts";
import { randomFrom } from "../../support/random.ts";

const nasty = [
  "plain",
  "",
  'a "quoted" text',
  "back\\slash",
  "line\nfeed",
  "\u0000\u007f",
  "Müller",
  "日本",
  "\ud800",
  "x".repeat(100),
];

const fields = (of: (index: number) => string, some: boolean): AccessFields => ({
  request_id: of(0),
  method: of(1),
  route: of(2),
  status: 200,
  duration_ms: 12.5,
  remote: some ? of(3) : undefined,
  token_id: some ? of(4) : undefined,
  trace_id: of(5),
  provider: some ? of(6) : undefined,
  model: some ? of(7) : undefined,
  stream: some ? true : undefined,
  tries: some ? 1 : undefined,
  cache: some ? of(8) : undefined,
  ttft_ms: some ? 0 : undefined,
  llm_tokens: some ? 120 : undefined,
  error_code: some ? of(9) : undefined,
});

test("a request's line is the line of its fields, whatever is in them", () => {
  for (const format of ["json", "text"] as const) {
    for (const [turn, some] of nasty.flatMap((_, index) => [[index, true] as const, [index, false] as const])) {
      const lines: string[] = [];
      const log = createLog(
        (line) => lines.push(line),
        { format, level: "debug" },
        () => 1_700_000_000_007,
      );
      const line = fields((index) => nasty[(index * 3 + turn) % nasty.length] ?? "", some);
      log.of("http").access("info", line);
      log.of("http").info("request", `${line.method} ${line.route} ${line.status}`, line);
      assert.equal(lines[0], lines[1]);
      if (format === "text") continue;
      const { timestamp, level, component, event, message, ...rest } = JSON.parse(lines[0] ?? "");
      assert.deepEqual([timestamp, level, component, event], ["2023-11-14T22:13:20.007Z", "info", "http", "request"]);
      assert.equal(message, `${line.method} ${line.route} ${line.status}`);
      assert.deepEqual(rest, JSON.parse(JSON.stringify(line)));
    }
  }
});

test("times are written as ISO 8601 says", () => {
  let time = 0;
  const lines: string[] = [];
  const log = createLog(
    (line) => lines.push(line),
    {},
    () => time,
  );
  for (time of [0, 1, 999, 1000, 1_700_000_000_010, 1_700_000_000_100, 1_700_000_000_009, 951_782_399_999]) {
    log.info("a", "b");
    assert.equal(JSON.parse(lines.at(-1) ?? "").timestamp, new Date(time).toISOString());
  }
});

test("gathered lines are written together, and before a warning", async () => {
  const texts: string[] = [];
  const log = createLog((text) => texts.push(text), { gathered: true });
  log.info("one", "1");
  log.of("http").access(
    "info",
    fields(() => "x", true),
  );
  log.of("http").access(
    "debug",
    fields(() => "not written at this level", true),
  );
  assert.equal(texts.length, 0);
  log.warn("three", "3");
  assert.deepEqual(
    texts.map((text) => [...text.matchAll(/"event":"(\w+)"/g)].map(([, event]) => event)),
    [["one", "request", "three"]],
  );
  log.info("four", "4");
  for (let tries = 0; texts.length < 2 && tries < 1000; tries += 1) await pause(5);
  assert.match(texts[1] ?? "", /"four"/);
});

test("a secret in a gathered text is taken out, wherever it stands", () => {
  const texts: string[] = [];
  const log = createLog((text) => texts.push(text), { gathered: true, redact: createRedaction(["sk-very-secret-text"]) });
  for (const at of [0, 1, 5, 7]) {
    log.of("http").access(
      "info",
      fields((index) => (index === at ? "sk-very-secret-text" : "x"), true),
    );
  }
  log.flush();
  assert.doesNotMatch(texts.join(""), /very-secret/);
  // The route is in the message too, and so is the method.
  assert.equal(texts.join("").match(/\[secret\]/g)?.length, 5);
});

test("what is sought is found wherever it stands, and nothing else", () => {
  const random = randomFrom(3);
  const letters = ["ab", "abcdefgh\u00e9\u4e2d", "0123456789abcdef"];
  const word = (length: number, of: string): string => Array.from({ length }, () => of[random(of.length)]).join("");
  let found = 0;
  for (let round = 0; round < 3000; round += 1) {
    const of = letters[round % letters.length] ?? "ab";
    const sought = Array.from({ length: random(6) }, () => word(1 + random(round % 2 === 0 ? 8 : 400), of));
    let text = word(random(300), of);
    const planted = sought[random(sought.length)];
    if (planted !== undefined && round % 3 === 0) {
      const at = random(text.length + 1);
      text = text.slice(0, at) + planted + text.slice(at);
    }
    const expected = sought.some((one) => text.includes(one));
    if (expected) found += 1;
    assert.equal(createFinder(sought)(text), expected);
  }
  assert.ok(found > 500 && found < 2900, `${found}`);
});
