/** What the docker provider makes of creations that break off: by a daemon that answers as it is told. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createDockerProvider } from "../../engine/providers/docker/provider.ts";
import { type Provider, ProviderError } from "../../engine/providers/provider.ts";
import type { PropertyMap } from "../../engine/values.ts";

const urn = "urn:pulumi:dev::test::docker:index/container:Container::web";
const id = "c".repeat(64);
const signal = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), "docker-interrupted-"));
let server: Server;
let provider: Provider;
let asked: string[] = [];
/** By what is asked: a status, with what is said; or the connection is cut. */
let answers: { [call: string]: [number, object] | "cut" } = {};

before(async () => {
  server = createServer((request, response) => {
    const call = `${request.method} ${(request.url ?? "").replace(/^\/v[\d.]+/, "").replace(/\?.*$/, "")}`;
    if (request.method !== "GET") asked.push(call);
    const answer = answers[call] ?? [200, call.startsWith("GET /images/") ? { Id: "sha256:1" } : {}];
    if (answer === "cut") return void request.socket.destroy();
    response.writeHead(answer[0], { "api-version": "1.41" }).end(JSON.stringify(answer[1]));
  });
  server.listen(join(folder, "socket"));
  await once(server, "listening");
  provider = createDockerProvider({ programDirectory: folder, log: () => {} });
  await provider.configure({ args: { host: `unix://${join(folder, "socket")}` } });
});
after(async () => {
  await provider.close();
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

const labels = [{ label: "of", value: "us" }];
const inputs: PropertyMap = { name: "web", image: "base", labels };

async function failing(): Promise<ProviderError> {
  const { inputs: properties } = await provider.check({ urn, news: inputs });
  const error: unknown = await provider.create({ urn, properties }, signal).then(
    () => assert.fail("it went well"),
    (reason) => reason,
  );
  assert.ok(error instanceof ProviderError);
  return error;
}

test("what was refused half-way is kept, and is made anew the next time", async () => {
  answers = {
    "POST /containers/create": [201, { Id: id }],
    [`POST /containers/${id}/start`]: [500, { message: "the port is taken" }],
  };
  const error = await failing();
  assert.equal(error.code, "partial");
  assert.equal(error.unfinished, undefined);
  const olds = error.partial?.properties ?? assert.fail("nothing is kept");
  const { inputs: news } = await provider.check({ urn, news: inputs, olds });
  const diff = await provider.diff({ urn, id, olds, news });
  assert.deepEqual([diff.replaces, diff.deleteBeforeReplace], [["id"], true]);
});

test("where the connection is lost nobody knows whether it was done", async () => {
  answers = { "POST /containers/create": "cut" };
  assert.equal((await failing()).unfinished, true);
  answers = { "POST /containers/create": [201, { Id: id }], [`POST /containers/${id}/start`]: "cut" };
  const later = await failing();
  assert.deepEqual([later.code, later.unfinished], ["failed", true]);
  answers = { "POST /containers/create": [409, { message: "the name is taken" }] };
  assert.equal((await failing()).unfinished, undefined);
});

test("only what has the name and the labels, and is not in the state, is taken away", async () => {
  const undo = async (Labels: object, known: string[] = [], given = inputs): Promise<string[]> => {
    answers = { "GET /containers/web/json": [200, { Id: id, Name: "/web", Config: { Labels } }] };
    asked = [];
    await provider.undoCreate?.({ urn, properties: given, again: true, known }, signal);
    return asked;
  };
  assert.deepEqual(await undo({ of: "others" }), []);
  assert.deepEqual(await undo({ of: "us" }, [id]), []);
  assert.deepEqual(await undo({ of: "us" }, [], { name: "web", image: "base" }), []);
  const gone = [`POST /containers/${id}/stop`, `DELETE /containers/${id}`, `POST /containers/${id}/wait`];
  assert.deepEqual(await undo({ of: "us", "of-the-image": "more" }), gone);
  answers = { "GET /containers/web/json": [404, { message: "No such container: web" }] };
  asked = [];
  await provider.undoCreate?.({ urn, properties: inputs, again: false, known: [] }, signal);
  assert.deepEqual(asked, []);
});
