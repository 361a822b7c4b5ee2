// Sound: forms and binary answers pass as bytes, with the model's name rewritten.
// Shapes: https://platform.openai.com/docs/api-reference/audio (TranscriptionCreateParams, SpeechCreateParams of openai)
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import OpenAI, { toFile } from "openai";
import { type FakeUpstream, startFakeUpstream } from "../../support/fake-upstream.ts";
import { bearer, fakeConfig, startGateway, type TestGateway, token } from "../../support/gateway.ts";

let upstream: FakeUpstream;
let gateway: TestGateway;
let client: OpenAI;
before(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway(fakeConfig(upstream.baseUrl));
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: token, maxRetries: 0 });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

const sound = Buffer.from([0, 255, 13, 10, 45, 45, 13, 10, 128]);

for (const what of ["transcriptions", "translations"] as const) {
  test(`${what}: the form arrives as it is, but for the model's name`, async () => {
    await upstream.script([{ answer: { text: "hello" } }]);
    const file = await toFile(sound, "a.wav", { type: "audio/wav" });
    const answer = await client.audio[what].create({ file, model: "fake/fake-model", prompt: 'name="model"' });
    assert.equal(answer.text, "hello");
    const [entry] = await upstream.ledger();
    assert.equal(entry?.path, `/v1/audio/${what}`);
    assert.match(entry.headers["content-type"] ?? "", /^multipart\/form-data; boundary=/);
    assert.match(entry.body, /name="model"\r\n\r\nfake-model\r\n/);
    assert.match(entry.body, /name="prompt"\r\n\r\nname="model"\r\n/);
    assert.doesNotMatch(entry.body, /fake\/fake-model/);
  });
}

test("a form that names two models is refused: the one judged here might not be the one used there", async () => {
  await upstream.script([{ answer: { text: "hello" } }]);
  const form = new FormData();
  form.set("file", new Blob([sound]), "a.wav");
  form.append("model", "fake-model");
  form.append("model", "another");
  const answer = await fetch(`${gateway.url}/v1/audio/transcriptions`, { method: "POST", headers: bearer, body: form });
  assert.equal(answer.status, 400);
  assert.match(await answer.text(), /names its model twice/);
  assert.deepEqual(await upstream.ledger(), []);
});

test("speech: the answer's bytes and its type come back as they are", async () => {
  const body = Buffer.alloc(3000, 7).toString("latin1");
  await upstream.script([
    {
      raw: `HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
    },
  ]);
  const response = await client.audio.speech.create({ model: "fake-model", input: "hi", voice: "alloy" });
  assert.equal(response.headers.get("content-type"), "audio/mpeg");
  assert.deepEqual(Buffer.from(await response.arrayBuffer()), Buffer.alloc(3000, 7));
  assert.equal((await upstream.ledger())[0]?.path, "/v1/audio/speech");
});

test("speech is heard while it is made; one that breaks off is a broken connection", async () => {
  let goOn: (cut: boolean) => void = () => {};
  const speaker = createServer((request, response) => {
    request.resume();
    if (request.method === "GET") {
      response.end('{"object":"list","data":[{"id":"fake-model"}]}');
      return;
    }
    response.writeHead(200, { "content-type": "audio/mpeg" });
    response.write("first");
    goOn = (cut) => (cut ? response.destroy() : response.end("second"));
  });
  speaker.listen(0, "127.0.0.1");
  await once(speaker, "listening");
  const at = Object(speaker.address()).port;
  const own = await startGateway(fakeConfig(`http://127.0.0.1:${at}/v1`));
  try {
    for (const cut of [false, true]) {
      const response = await fetch(`${own.url}/v1/audio/speech`, {
        method: "POST",
        headers: { ...bearer, "content-type": "application/json" },
        body: JSON.stringify({ model: "fake-model", input: "hi", voice: "alloy" }),
      });
      const reader = response.body?.getReader();
      assert.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), "first", "before the rest was made");
      goOn(cut);
      if (cut) await assert.rejects(async () => reader?.read());
      else assert.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), "second");
    }
  } finally {
    await own.close();
    speaker.closeAllConnections();
    speaker.close();
  }
});

for (const [what, headers, body, pattern] of [
  ["no form", { "content-type": "application/json" }, "{}", /Send a form/],
  ["no boundary", { "content-type": "multipart/form-data" }, "--x--", /no boundary/],
  ["a form that is cut", { "content-type": "multipart/form-data; boundary=x" }, "--x\r\n", /cannot be read/],
  [
    "a model that is not there",
    { "content-type": "multipart/form-data; boundary=x" },
    '--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nnope\r\n--x--\r\n',
    /"nope" does not exist/,
  ],
] as const)
  test(`${what} is refused in OpenAI's shape`, async () => {
    const response = await fetch(`${gateway.url}/v1/audio/transcriptions`, {
      method: "POST",
      headers: { ...bearer, ...headers },
      body,
    });
    assert.ok(response.status >= 400 && response.status < 500);
    const failure: { error?: { message?: string } } = JSON.parse(await response.text());
    assert.match(failure.error?.message ?? "", pattern);
  });
