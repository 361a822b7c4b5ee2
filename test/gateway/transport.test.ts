/** Providers behind TLS of their own, client certificates, proxies and other ways to send the key; real sockets on both sides. */
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer, type ServerOptions } from "node:https";
import { connect, type Server } from "node:net";
import { after, before, test } from "node:test";
import type { ConfigInput } from "../../gateway/config/schema.ts";
import { type Authority, type Certificate, makeAuthority } from "../support/certificates.ts";
import { chat, type Folder, makeFolder, startGateway, type TestGateway, token } from "../support/gateway.ts";

let folder: Folder;
let authority: Authority;
let server: Certificate;
const closers: (() => void | Promise<void>)[] = [];
const answer = JSON.stringify({
  id: "1",
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }],
});

before(() => {
  folder = makeFolder();
  authority = makeAuthority(folder.path);
  server = authority.issue("server", ["127.0.0.1", "models.example"]);
});
after(async () => {
  for (const close of closers.reverse()) await close();
  folder.remove();
});

const seen: { headers: IncomingMessage["headers"]; url: string }[] = [];
function answerAll(request: IncomingMessage, response: ServerResponse): void {
  seen.push({ headers: request.headers, url: request.url ?? "" });
  request.resume().on("end", () => {
    response.setHeader("content-type", "application/json").end(request.method === "GET" ? '{"data":[]}' : answer);
  });
}

async function open(made: HttpServer | Server): Promise<number> {
  made.listen(0, "127.0.0.1");
  await once(made, "listening");
  closers.push(() => {
    made.close();
    if ("closeAllConnections" in made) made.closeAllConnections();
  });
  const address = made.address();
  return typeof address === "object" && address ? address.port : 0;
}

const openHttps = (options: ServerOptions = {}): Promise<number> =>
  open(createHttpsServer({ cert: server.cert, key: server.key, ...options }, answerAll));

type Request = NonNullable<
  Extract<NonNullable<NonNullable<ConfigInput["models"]>["providers"]>[string], { api: "openai-completions" }>["request"]
>;

async function gatewayTo(baseUrl: string, request: Request, more: { apiKey?: string } = {}): Promise<TestGateway> {
  const gateway = await startGateway({
    gateway: { auth: { token } },
    models: { providers: { far: { api: "openai-completions", baseUrl, models: [{ id: "m" }], request, ...more } } },
    secrets: { providers: { ca: { source: "file", path: authority.caPath, mode: "singleValue" } } },
  });
  closers.push(() => gateway.close());
  return gateway;
}

const ask = async (gateway: TestGateway): Promise<{ status: number; text: string }> => {
  const response = await chat(gateway.url, { model: "m" });
  return { status: response.status, text: await response.text() };
};

test("a server's certificate is believed when the provider's own authority signed it, and only then", async () => {
  const port = await openHttps();
  const baseUrl = `https://127.0.0.1:${port}/v1`;
  const ca = { source: "file" as const, provider: "ca", id: "ca" };
  assert.equal((await ask(await gatewayTo(baseUrl, { tls: { ca } }))).status, 200);
  const without = await ask(await gatewayTo(baseUrl, {}));
  assert.equal(without.status, 502);
  assert.match(without.text, /certificate/);
  assert.equal((await ask(await gatewayTo(baseUrl, { tls: { insecureSkipVerify: true } }))).status, 200);
  assert.equal((await ask(await gatewayTo(baseUrl, { tls: { ca, serverName: "models.example" } }))).status, 200);
  assert.equal((await ask(await gatewayTo(baseUrl, { tls: { ca, serverName: "other.example" } }))).status, 502);
});

test("a server that asks for a client certificate gets it", async () => {
  const port = await openHttps({ requestCert: true, rejectUnauthorized: true, ca: authority.ca });
  const baseUrl = `https://127.0.0.1:${port}/v1`;
  const { cert, key } = authority.issue("client", ["client.example"]);
  assert.equal((await ask(await gatewayTo(baseUrl, { tls: { ca: authority.ca, cert, key } }))).status, 200);
  assert.equal((await ask(await gatewayTo(baseUrl, { tls: { ca: authority.ca } }))).status, 502);
});

test("a proxy is asked for a tunnel, with its password, and its refusal is said", async () => {
  const port = await openHttps();
  const asked: { target: string; authorization: string | undefined }[] = [];
  const proxy = createHttpServer((_, response) => response.writeHead(501).end());
  proxy.on("connect", (request, socket) => {
    const target = request.url ?? "";
    asked.push({ target, authorization: request.headers["proxy-authorization"] });
    if (request.headers["proxy-authorization"] !== `Basic ${Buffer.from("user:pa:ss").toString("base64")}`) {
      socket.end("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    const far = connect(Number(target.split(":")[1]), "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      far.pipe(socket).pipe(far);
    });
    far.on("error", () => socket.destroy());
    socket.on("error", () => far.destroy());
  });
  const proxyPort = await open(proxy);
  const tls = { ca: authority.ca };
  const through = (login: string): Request => ({
    tls,
    proxy: { mode: "explicit-proxy", url: `http://${login}127.0.0.1:${proxyPort}` },
  });
  assert.equal((await ask(await gatewayTo(`https://models.example:${port}/v1`, through("user:pa%3Ass@")))).status, 200);
  assert.equal(asked.at(-1)?.target, `models.example:${port}`);
  const refused = await ask(await gatewayTo(`https://127.0.0.1:${port}/v1`, through("")));
  assert.equal(refused.status, 502);
  assert.match(refused.text, /the proxy refused the tunnel \(407\)/);
  const plain = await open(createHttpServer(answerAll));
  assert.equal((await ask(await gatewayTo(`http://127.0.0.1:${plain}/v1`, through("user:pa%3Ass@")))).status, 200);
});

test("the key goes where request.auth says, and more headers with it", async () => {
  const port = await open(createHttpServer(answerAll));
  const baseUrl = `http://127.0.0.1:${port}/v1`;
  const last = async (request: Request): Promise<IncomingMessage["headers"]> => {
    await ask(await gatewayTo(baseUrl, request, { apiKey: "key-one" }));
    return seen.at(-1)?.headers ?? {};
  };
  assert.equal((await last({})).authorization, "Bearer key-one");
  assert.equal((await last({ auth: { mode: "authorization-bearer", token: "key-two" } })).authorization, "Bearer key-two");
  const own = await last({
    auth: { mode: "header", headerName: "X-Api-Token", value: "key-three", prefix: "T " },
    headers: { "x-tenant": "a" },
  });
  assert.deepEqual([own.authorization, own["x-api-token"], own["x-tenant"]], [undefined, "T key-three", "a"]);
});

test("metadata addresses are refused in the config; names that lead to this machine where only public addresses may be asked", async () => {
  await assert.rejects(gatewayTo("http://169.254.169.254/v1", {}), /models\.providers\.far\.baseUrl.*metadata/s);
  await assert.rejects(gatewayTo("http://[::ffff:a9fe:a9fe]/v1", {}), /metadata/);
  const port = await open(createHttpServer(answerAll));
  const before = seen.length;
  const refused = await ask(await gatewayTo(`http://localhost:${port}/v1`, { allowPrivateNetwork: false }));
  assert.equal(refused.status, 502);
  assert.match(refused.text, /does not connect to/);
  assert.equal(seen.length, before);
});

test("a redirect is not followed, wherever it leads", async () => {
  const port = await open(
    createHttpServer((_, response) => response.writeHead(307, { location: "http://169.254.169.254/latest/meta-data/" }).end()),
  );
  const { status, text } = await ask(await gatewayTo(`http://127.0.0.1:${port}/v1`, {}));
  assert.equal(status, 502);
  assert.match(text, /answered 307/);
});
