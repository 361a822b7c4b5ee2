/** Requests that no client should send, from a random source: spoilt bodies, broken JSON, odd methods and headers, bytes that are no HTTP. */
import { type Agent, request as httpRequest } from "node:http";
import { connect } from "node:net";
import { bodies, breakJson, pick, type Random, spoil } from "./fuzz.ts";
import { bearer, token } from "./gateway.ts";

export interface Answer {
  status: number;
  type: string;
  text: string;
}

export interface Case {
  path: string;
  /** What was sent, for the message of a failure. */
  what: string;
  send(): Promise<Answer | undefined>;
}

/** One that runs: connections are kept by `agent`. */
interface Asked {
  url: string;
  agent: Agent;
}

const answerMs = 20_000;

const apis = Object.keys(bodies);
const anyApi = (random: Random): string => apis[Math.floor(random() * apis.length)] ?? "/v1/chat/completions";
const anyModel = (random: Random): string => `${pick(random, ["chat", "responses", "anthropic", "ollama"])}/fake-model`;

/** `gateway`: where they are sent to. */
export function makeCase(random: Random, gateway: Asked): Case {
  const kind = random();
  if (kind < 0.5) return spoiltBody(random, gateway);
  if (kind < 0.65) return brokenJson(random, gateway);
  if (kind < 0.8) return oddRequest(random, gateway);
  return rawBytes(random, gateway.url);
}

function bodyFor(random: Random, api: string, spoilt: number): string {
  const body = { model: anyModel(random), stream: random() < 0.4, ...bodies[api] };
  return JSON.stringify(spoil(random, body, spoilt)) ?? "";
}

function spoiltBody(random: Random, gateway: Asked): Case {
  const api = anyApi(random);
  const body = bodyFor(random, api, Math.floor(random() * 4));
  return send(gateway, api, { body: Buffer.from(body), what: `POST ${api} ${body.slice(0, 1500)}` });
}

function brokenJson(random: Random, gateway: Asked): Case {
  const api = anyApi(random);
  const body = breakJson(random, bodyFor(random, api, 0));
  return send(gateway, api, { body, what: `POST ${api} ${JSON.stringify(body.toString("latin1").slice(0, 300))}` });
}

const paths = [
  "/",
  "/v1",
  "/v1/",
  "/v1/models",
  "/v1/models/none",
  "/v1/models/%F0%9F%92%A9",
  "/v1/models/%00",
  "/v1/models/%zz",
  "/v1/models/../../etc/passwd",
  "/v1/messages/batches",
  "/v1/messages/",
  "/v1/messages?beta=true",
  "/v1/messagesx",
  "/v1/chat/completions/",
  "/v1/chat/completions?x=%",
  "/v1/chat",
  "/v1//chat/completions",
  "/V1/CHAT/COMPLETIONS",
  `/v1/${"x".repeat(3000)}`,
  "/readyz",
  "/metrics",
  "/favicon.ico",
  "/index.html",
  "//evil.example/v1",
  "/%2e%2e/%2e%2e",
  "/api/usage?from=x",
  "/v1/audio/speech",
  "/v1/audio/transcriptions",
] as const;

function oddRequest(random: Random, gateway: Asked): Case {
  const api = random() < 0.5 ? anyApi(random) : pick(random, paths);
  const method = pick(random, ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "POST", "POST", "POST", "PROPFIND", "TRACE"]);
  const name = pick(random, [
    "content-type",
    "content-encoding",
    "authorization",
    "accept",
    "x-request-id",
    "traceparent",
    "idempotency-key",
    "cache-control",
    "x-openclaw-priority",
    "x-openclaw-session-key",
    "x-openclaw-cache",
    "x-forwarded-for",
    "origin",
    "anthropic-version",
    "range",
    "if-none-match",
  ]);
  const value = pick(random, [
    "",
    "text/plain",
    "application/xml; charset=utf-16",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    'application/json; charset="',
    "gzip",
    "text/html",
    "Bearer",
    "Bearer wrong",
    "Basic eDp5",
    "x".repeat(4000),
    "\u00ff\u00fe",
    "null",
    "-1",
    "00-0-0-0",
    "no-cache, max-age=99999999999999",
    "1.2.3.4, ::ffff:1.2.3.4, unknown",
  ]);
  const withBody = method !== "GET" && method !== "TRACE" && random() < 0.8;
  const body = withBody ? Buffer.from(bodyFor(random, api in bodies ? api : "/v1/chat/completions", 0)) : undefined;
  return send(gateway, api, {
    method,
    body,
    headers: { [name]: value },
    what: `${method} ${api} ${name}: ${value.slice(0, 80)}`,
  });
}

/** What was last sent on a connection: it may be the reason why the next one fails. */
const previous = new WeakMap<object, string>();

interface Sent {
  method?: string;
  body: Buffer | undefined;
  headers?: Record<string, string>;
  what: string;
}

/** Without it Node's client sends the body of an OPTIONS or DELETE as if it were the next request. */
const lengthOf = (body: Buffer | undefined): Record<string, string> =>
  body === undefined ? {} : { "content-length": String(body.length) };

function send({ url, agent }: Asked, path: string, { method = "POST", body, headers = {}, what }: Sent): Case {
  return {
    path,
    what,
    send: () =>
      new Promise((resolve, reject) => {
        const request = httpRequest(
          `${url}/`,
          {
            agent,
            method,
            path,
            headers: { ...bearer, "content-type": "application/json", ...lengthOf(body), ...headers },
            timeout: answerMs,
          },
          (response) => {
            const chunks: Buffer[] = [];
            previous.set(response.socket, `${response.statusCode} to ${what.slice(0, 300)}`);
            response.on("data", (chunk: Buffer) => chunks.push(chunk));
            // A stream that fails ends in a broken connection.
            const done = (): void =>
              resolve({
                status: response.statusCode ?? 0,
                type: response.headers["content-type"] ?? "",
                text: Buffer.concat(chunks).toString("utf8"),
              });
            response.on("end", done).on("error", done);
          },
        );
        request.on("timeout", () => request.destroy(new Error(`no answer within ${answerMs} ms`)));
        request.on("error", (error) => {
          const before = request.reusedSocket && request.socket ? previous.get(request.socket) : undefined;
          reject(before === undefined ? error : new Error(`${error.message}; before it on this connection: ${before}`));
        });
        request.end(body);
      }),
  };
}

function rawBytes(random: Random, url: string): Case {
  const api = anyApi(random);
  const body = bodyFor(random, api, 0);
  const size = Buffer.byteLength(body);
  const auth = `host: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n`;
  const head = (lines: string, method = "POST"): string => `${method} ${api} HTTP/1.1\r\n${auth}${lines}\r\n`;
  const chunked = "transfer-encoding: chunked\r\n";
  const bytes = pick(random, [
    head("content-length: -1\r\n"),
    head("content-length: 12abc\r\n"),
    head("content-length: 99999999999999999999\r\n"),
    head("content-length: 5\r\ncontent-length: 6\r\n") + body,
    `${head(`content-length: ${size}\r\n${chunked}`)}${body}`,
    `${head(chunked)}zz\r\n${body}\r\n0\r\n\r\n`,
    `${head(chunked)}${size.toString(16)}\r\n${body}0\r\n\r\n`,
    `${head(chunked)}ffffffffffffffff\r\n${body}`,
    `${head(chunked)}${size.toString(16)};ext=${"x".repeat(30_000)}\r\n${body}\r\n0\r\n\r\n`,
    `${head(chunked)}${[...body].map((letter) => `${Buffer.byteLength(letter).toString(16)}\r\n${letter}\r\n`).join("")}0\r\n\r\n`,
    `${head(chunked)}${size.toString(16)}\r\n${body}\r\n0\r\nx-trailer: 1\r\n\r\n`,
    `${head(`content-length: ${size + 10}\r\n`)}${body}`,
    `${head(`content-length: ${Math.max(1, size - 3)}\r\n`)}${body}`,
    head("x: \u0000\r\ncontent-length: 0\r\n"),
    head(`x: ${"y".repeat(40_000)}\r\ncontent-length: 0\r\n`),
    head("no colon here\r\n"),
    head(" folded: x\r\n"),
    `${head("expect: 100-continue\r\ncontent-length: 2\r\n")}{}`,
    `${head("expect: something\r\ncontent-length: 2\r\n")}{}`,
    head("upgrade: websocket\r\nconnection: upgrade\r\n", "GET"),
    `${head("upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: x\r\ncontent-length: 2\r\n")}{}`,
    `POST ${api} HTTP/9.9\r\n${auth}content-length: 0\r\n\r\n`,
    `POST ${api}\r\n\r\n`,
    `POST ${api} HTTP/1.0\r\n\r\n`,
    `POST http://elsewhere.example${api} HTTP/1.1\r\n${auth}content-length: 2\r\n\r\n{}`,
    `post ${api} HTTP/1.1\r\n${auth}content-length: 2\r\n\r\n{}`,
    `CONNECT elsewhere.example:443 HTTP/1.1\r\n${auth}\r\n`,
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003",
    "\r\n\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    `${head("content-length: 2\r\n")}{}`.repeat(40),
  ]);
  return {
    path: /^[A-Za-z]+ (\/\S*)/.exec(bytes)?.[1] ?? "",
    what: `raw ${JSON.stringify(bytes.slice(0, 200))}`,
    send: () => rawCall(url, Buffer.from(bytes, "latin1")),
  };
}

/** The first answer; undefined where the connection was closed without one, which bad HTTP may be. */
function rawCall(url: string, bytes: Buffer): Promise<Answer | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    let text = "";
    let grace: NodeJS.Timeout | undefined;
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`neither an answer nor an end within ${answerMs} ms`));
    }, answerMs);
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      // Answered: a connection that stays open is the client's to close.
      if (isWhole(text)) grace ??= setTimeout(() => socket.end(), 20);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearTimeout(timer);
      clearTimeout(grace);
      const [, status, headers = "", rest = ""] =
        /^HTTP\/1\.1 (\d{3})[^\r]*\r\n([\s\S]*?)\r\n\r\n([\s\S]*)$/.exec(finalOf(text)) ?? [];
      if (status === undefined) return text === "" ? resolve(undefined) : reject(new Error(`no HTTP: ${text.slice(0, 200)}`));
      const length = /^content-length: *(\d+)/im.exec(headers)?.[1];
      const type = /^content-type: *(.*)$/im.exec(headers)?.[1] ?? "";
      const body = length === undefined ? rest : rest.slice(0, Number(length));
      resolve({ status: Number(status), type, text: Buffer.from(body, "latin1").toString("utf8") });
    });
    socket.write(bytes);
  });
}

/** Without the answers that only announce another one. */
const finalOf = (text: string): string => text.replace(/^(?:HTTP\/1\.1 1\d\d [^\r]*\r\n(?:[^\r]+\r\n)*\r\n)+/, "");

function isWhole(text: string): boolean {
  const answer = finalOf(text);
  const end = answer.indexOf("\r\n\r\n");
  if (end === -1) return false;
  const length = /^content-length: *(\d+)/im.exec(answer.slice(0, end))?.[1];
  return length === undefined ? answer.endsWith("0\r\n\r\n") : answer.length >= end + 4 + Number(length);
}
