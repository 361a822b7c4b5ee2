/** Clients that mean harm, on raw sockets: slow headers, slow bodies, endless headers, hundreds of requests on one connection; and pages of other origins. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { bearer, fakeConfig, startGateway, type TestGateway, token } from "../support/gateway.ts";

let upstream: FakeUpstream;
let gateway: TestGateway;
const origin = "https://app.example";

before(async () => {
  upstream = await startFakeUpstream();
  const stack = { http: { headersTimeoutMs: 1000, requestTimeoutMs: 2000 } };
  gateway = await startGateway({
    ...fakeConfig(upstream.baseUrl, stack),
    gateway: { auth: { token }, controlUi: { allowedOrigins: [origin] } },
  });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});

async function open(): Promise<Socket & { text: () => string }> {
  const { port } = new URL(gateway.url);
  const socket = connect(Number(port), "127.0.0.1");
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  socket.on("error", () => {});
  await once(socket, "connect");
  return Object.assign(socket, { text: () => text });
}

const body = JSON.stringify({ model: "fake-model", messages: [{ role: "user", content: "hi" }] });
const post = (content = body): string =>
  `POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${content.length}\r\n\r\n${content}`;
const active = (): number => gateway.app.lifecycle.active;

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 15_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `waited too long for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("slow and endless requests", () => {
  test("headers that never end are answered 408, and the connection goes", async () => {
    const socket = await open();
    socket.write("POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n");
    let sent = 0;
    const drip = setInterval(() => {
      sent += 1;
      socket.write(`X-Slow-${sent}: 1\r\n`);
    }, 200);
    await once(socket, "close");
    clearInterval(drip);
    assert.match(socket.text(), /^HTTP\/1\.1 408 /);
    assert.match(socket.text(), /"code":"request_timeout"/);
  });

  test("a body that never ends too", async () => {
    const socket = await open();
    socket.write(post().slice(0, -10));
    await once(socket, "close");
    assert.match(socket.text(), /^HTTP\/1\.1 408 /);
    await until("the request to be over", () => active() === 0);
  });

  test("headers without measure are refused", async () => {
    const socket = await open();
    socket.write(`GET /v1/models HTTP/1.1\r\nHost: gateway\r\nX-Long: ${"x".repeat(64 * 1024)}\r\n\r\n`);
    await once(socket, "close");
    assert.match(socket.text(), /^HTTP\/1\.1 4(?:00|31) /);
  });

  test("both a length and chunks: refused, not guessed at", async () => {
    const socket = await open();
    socket.write(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n",
    );
    await once(socket, "close");
    assert.match(socket.text(), /^HTTP\/1\.1 400 /);
    assert.equal(socket.text().split("HTTP/1.1 ").length - 1, 1);
  });
});

describe("many requests on one connection", () => {
  test("some are answered in their order", async () => {
    await upstream.script([{ words: ["one"] }, { words: ["two"] }, { words: ["three"] }]);
    const socket = await open();
    socket.write(post().repeat(3));
    await until("three answers", () => socket.text().split("HTTP/1.1 200").length === 4);
    socket.destroy();
    assert.equal(socket.text().split('"finish_reason"').length, 4);
  });

  test("hundreds end the connection, and every call that was under way", async () => {
    await upstream.script([{ gate: "never" }]);
    const socket = await open();
    // What it sent and nobody read makes it a reset.
    socket.on("error", () => {});
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.write(post().repeat(1000));
    await closed;
    await until("all requests to be over", () => active() === 0);
    await until("all upstream calls to be over", async () => (await upstream.ledger()).every(({ state }) => state !== "open"));
    assert.equal((await upstream.ledger()).length, 1);
    assert.equal((await fetch(`${gateway.url}/healthz`)).status, 200);
  });

  test("a client that leaves ends also the calls whose answers were not due yet", async () => {
    await upstream.script([{ gate: "never" }]);
    const socket = await open();
    socket.write(post().repeat(5));
    await upstream.waitFor("open", 1);
    socket.destroy();
    const ledger = await upstream.waitFor("aborted", 1);
    await until("all requests to be over", () => active() === 0);
    // Those behind it were never sent.
    assert.equal(ledger.length, 1);
  });
});

describe("pages of other origins", () => {
  const ask = (method: string, from: string, more: Record<string, string> = {}): Promise<Response> =>
    fetch(`${gateway.url}/v1/models`, { method, headers: { origin: from, ...more } });

  test("a listed one may ask, with the headers that clients send", async () => {
    const asked = {
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,x-stainless-os,cookie",
    };
    const preflight = await ask("OPTIONS", origin, asked);
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers.get("access-control-allow-origin"), origin);
    assert.equal(preflight.headers.get("access-control-allow-headers"), "authorization, x-stainless-os");
    assert.equal(preflight.headers.get("access-control-allow-credentials"), null);
    const answer = await ask("GET", origin, bearer);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("access-control-allow-origin"), origin);
    assert.match(answer.headers.get("access-control-expose-headers") ?? "", /x-request-id/);
  });

  test("another one may not, and a token is still needed", async () => {
    const preflight = await ask("OPTIONS", "https://evil.example", { "access-control-request-method": "POST" });
    assert.equal(preflight.headers.get("access-control-allow-origin"), null);
    assert.equal((await ask("GET", "https://evil.example", bearer)).headers.get("access-control-allow-origin"), null);
    assert.equal((await ask("GET", origin)).status, 401);
  });

  test("an answer of a model is readable too", async () => {
    await upstream.script([{}]);
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: { origin, "content-type": "application/json", ...bearer },
      body,
    });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("access-control-allow-origin"), origin);
  });
});
