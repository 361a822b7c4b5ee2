/** HTTPS of the gateway's own: answers, streams, client certificates, a renewed certificate without a restart, and clear errors. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFileSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { type ConnectionOptions, connect } from "node:tls";
import { type Authority, type Certificate, makeAuthority } from "../support/certificates.ts";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { type Folder, fakeConfig, makeFolder, startGateway, type TestGateway, token } from "../support/gateway.ts";

let folder: Folder;
let authority: Authority;
let first: Certificate;
let upstream: FakeUpstream;
const closers: (() => Promise<void>)[] = [];

before(async () => {
  folder = makeFolder();
  authority = makeAuthority(folder.path);
  first = authority.issue("first", ["127.0.0.1"]);
  upstream = await startFakeUpstream();
});
after(async () => {
  for (const close of closers) await close();
  await upstream.close();
  folder.remove();
});

async function start(tls: object): Promise<TestGateway> {
  const gateway = await startGateway({
    ...fakeConfig(upstream.baseUrl),
    gateway: { auth: { token }, tls: { enabled: true, ...tls } },
  });
  closers.push(() => gateway.close());
  return gateway;
}

/** One request on a connection of its own. */
async function ask(gateway: TestGateway, stream: boolean, client: ConnectionOptions = {}) {
  const port = Number(new URL(gateway.url).port);
  const socket = connect({ host: "127.0.0.1", port, ca: authority.ca, ...client });
  await once(socket, "secureConnect");
  const name = socket.getPeerCertificate().subject?.CN;
  const protocol = socket.getProtocol();
  const body = JSON.stringify({ model: "fake-model", stream, messages: [{ role: "user", content: "hi" }] });
  const head = `Host: gateway\r\nAuthorization: Bearer ${token}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n`;
  socket.write(`POST /v1/chat/completions HTTP/1.1\r\n${head}Content-Type: application/json\r\n\r\n${body}`);
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  await once(socket, "close");
  return { text, name, protocol };
}

test("answers and streams come over TLS", async () => {
  const gateway = await start({ certPath: first.certPath, keyPath: first.keyPath });
  const whole = await ask(gateway, false);
  assert.match(whole.text, /^HTTP\/1\.1 200 /);
  assert.equal(whole.protocol, "TLSv1.3");
  assert.match((await ask(gateway, true)).text, /data: \[DONE\]/);
});

test("a renewed certificate serves the next connection, a broken one changes nothing", async () => {
  const [certPath, keyPath] = [`${folder.path}/live.pem`, `${folder.path}/live.key`];
  const put = (from: Certificate): void => {
    copyFileSync(from.certPath, certPath);
    copyFileSync(from.keyPath, keyPath);
  };
  put(first);
  const gateway = await start({ certPath, keyPath });
  assert.equal((await ask(gateway, false)).name, "first");
  put(authority.issue("second", ["127.0.0.1"]));
  await gateway.app.reloadSecrets();
  const renewed = await ask(gateway, false);
  assert.equal(renewed.name, "second");
  assert.match(renewed.text, /^HTTP\/1\.1 200 /);
  writeFileSync(certPath, "-----BEGIN CERTIFICATE-----\nbroken");
  await gateway.app.reloadSecrets();
  assert.equal((await ask(gateway, false)).name, "second");
  assert.ok(gateway.lines.some((line) => line.includes("certificate_unusable")));
});

test("with caPath only callers with a certificate get in", async () => {
  const gateway = await start({ certPath: first.certPath, keyPath: first.keyPath, caPath: authority.caPath });
  const { cert, key } = authority.issue("caller", ["caller.example"]);
  assert.match((await ask(gateway, false, { cert, key })).text, /^HTTP\/1\.1 200 /);
  await assert.rejects(ask(gateway, false));
});

test("what is missing or does not fit together is said with its path", async () => {
  const other = authority.issue("other", ["127.0.0.1"]);
  await assert.rejects(start({}), /gateway\.tls\.certPath: is needed for TLS/);
  await assert.rejects(
    start({ certPath: first.certPath, keyPath: "/nowhere/key.pem" }),
    /gateway\.tls\.keyPath.*cannot be read \(ENOENT\)/s,
  );
  await assert.rejects(
    start({ certPath: first.certPath, keyPath: other.keyPath }),
    /certificate and key cannot be used together/,
  );
});
