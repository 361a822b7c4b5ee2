/** Images and files that a request names by address: where they may lie, and how they are fetched. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { after, before, describe, test } from "node:test";
import type { RemoteContent } from "../../gateway/config/remote-content.ts";
import type { Resolve } from "../../gateway/models/destination.ts";
import { fetchLink } from "../../gateway/models/linked/fetch-link.ts";
import { findLinks, type Link, mayHoldLinks } from "../../gateway/models/linked/find.ts";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { bearer, fakeConfig, startGateway, type TestGateway } from "../support/gateway.ts";
import { randomFrom } from "../support/random.ts";

const picture = Buffer.from("89504e470d0a1a0a", "hex");
const inlined = `data:image/png;base64,${picture.toString("base64")}`;
let upstream: FakeUpstream;
let files: Server;
let site: string;
const gateways: TestGateway[] = [];
const fetched: string[] = [];

function serve(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url ?? "";
  fetched.push(path);
  if (path === "/picture.png") response.setHeader("content-type", "image/png").end(picture);
  else if (path === "/page") response.setHeader("content-type", "text/html").end("<p>");
  else if (path === "/large") response.setHeader("content-type", "image/png").end(Buffer.alloc(200_000));
  else if (path === "/to-picture") response.writeHead(302, { location: "/picture.png" }).end();
  else if (path === "/to-metadata") response.writeHead(302, { location: "http://169.254.169.254/latest/meta-data/" }).end();
  else if (path === "/to-file") response.writeHead(302, { location: "file:///etc/passwd" }).end();
  else if (path === "/loop") response.writeHead(302, { location: "/loop" }).end();
  else if (path !== "/silent") response.writeHead(404).end();
}

before(async () => {
  upstream = await startFakeUpstream();
  files = createServer(serve).listen(0, "127.0.0.1");
  await once(files, "listening");
  const address = files.address();
  site = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
});
after(async () => {
  for (const gateway of gateways) await gateway.close();
  files.closeAllConnections();
  files.close();
  await upstream.close();
});

async function gatewayWith(remoteContent: Partial<RemoteContent>): Promise<TestGateway> {
  const models = [{ id: "fake-model", input: ["text" as const, "image" as const] }];
  const fake = { api: "openai-completions" as const, baseUrl: upstream.baseUrl, models };
  const gateway = await startGateway(fakeConfig(upstream.baseUrl, { remoteContent }, { models: { providers: { fake } } }));
  gateways.push(gateway);
  await upstream.script([{}]);
  return gateway;
}

async function look(gateway: TestGateway, url: string): Promise<{ status: number; text: string; sent: string | undefined }> {
  const content = [
    { type: "text", text: "what is this?" },
    { type: "image_url", image_url: { url } },
  ];
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...bearer },
    body: JSON.stringify({ model: "fake-model", messages: [{ role: "user", content }] }),
  });
  const ledger = await upstream.ledger();
  return { status: response.status, text: await response.text(), sent: ledger.at(-1)?.body };
}

test("names of fields are found however they are written", () => {
  const written = (name: string): Buffer =>
    Buffer.from(`{"content":[{"type":"x","${name}":{"url":"http://169.254.169.254/"}}]}`);
  assert.equal(mayHoldLinks(written("image_url")), true);
  for (const name of ["\\u0069mage_url", "im\\u0061ge\\u005Furl", "\\u0066ile_url"])
    assert.equal(mayHoldLinks(written(name)), true, name);
  assert.equal(mayHoldLinks(written("caf\\u00e9 \\n")), false);
});

describe("the model server fetches", () => {
  test("public addresses and unknown names pass as they are", async () => {
    const gateway = await gatewayWith({});
    for (const url of ["https://1.1.1.1/picture.png", "https://no-such-name.invalid/picture.png", inlined]) {
      const { status, sent } = await look(gateway, url);
      assert.equal(status, 200);
      assert.ok(sent?.includes(url));
    }
  });

  test("addresses that lead inside are refused, and nothing is sent", async () => {
    const gateway = await gatewayWith({});
    const inside = [
      "http://169.254.169.254/",
      "http://127.0.0.1/x",
      "http://[::1]/x",
      "http://10.0.0.8/x",
      "http://2130706433/",
      "http://0x7f.1/",
      "http://localhost/x",
    ];
    for (const url of inside) {
      const { status, text, sent } = await look(gateway, url);
      assert.equal(status, 400, url);
      assert.match(text, /messages\.0\.content\.1\.image_url\.url/);
      assert.equal(sent, undefined);
    }
    assert.match((await look(gateway, "http://user:word@1.1.1.1/x")).text, /user or password/);
  });

  test("refused altogether where the config says so", async () => {
    const gateway = await gatewayWith({ urls: "refuse" });
    assert.match((await look(gateway, "https://1.1.1.1/picture.png")).text, /data URL/);
    assert.equal((await look(gateway, inlined)).status, 200);
  });
});

describe("the gateway fetches", () => {
  test("the bytes take the address's place, also after a redirect", async () => {
    const gateway = await gatewayWith({ urls: "fetch", allowPrivateNetwork: true });
    for (const path of ["/picture.png", "/to-picture"]) {
      const { status, sent } = await look(gateway, `${site}${path}`);
      assert.equal(status, 200);
      assert.ok(sent?.includes(inlined) && !sent.includes(site));
    }
  });

  test("what is no image, too large, elsewhere or silent is an error that names the field", async () => {
    const gateway = await gatewayWith({ urls: "fetch", allowPrivateNetwork: true, maxBytes: 100_000, timeoutMs: 500 });
    const expected: Record<string, RegExp> = {
      "/page": /is text\/html, not an image/,
      "/large": /is larger than 100000 bytes/,
      "/missing": /was answered with 404/,
      "/to-metadata": /link-local or metadata/,
      "/to-file": /leads to an address of file:/,
      "/loop": /more than 3 redirects/,
      "/silent": /cannot be fetched/,
    };
    for (const [path, message] of Object.entries(expected)) {
      const { status, text, sent } = await look(gateway, `${site}${path}`);
      assert.equal(status, 400, path);
      assert.match(text, message);
      assert.match(text, /"param":"messages\.0\.content\.1\.image_url\.url"/);
      assert.equal(sent, undefined);
    }
  });

  test("private networks are left alone unless they are allowed", async () => {
    const gateway = await gatewayWith({ urls: "fetch" });
    const before = fetched.length;
    assert.equal((await look(gateway, `${site}/picture.png`)).status, 400);
    assert.equal((await look(gateway, `${site.replace("127.0.0.1", "localhost")}/picture.png`)).status, 400);
    assert.equal(fetched.length, before);
  });

  test("all addresses of a request together are no larger than one may be", async () => {
    const gateway = await gatewayWith({ urls: "fetch", allowPrivateNetwork: true, maxBytes: 300_000 });
    const ask = async (count: number): Promise<[number, string]> => {
      const content = Array.from({ length: count }, () => ({ type: "image_url", image_url: { url: `${site}/large` } }));
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", ...bearer },
        body: JSON.stringify({ model: "fake-model", messages: [{ role: "user", content }] }),
      });
      return [response.status, await response.text()];
    };
    assert.equal((await ask(1))[0], 200);
    const [status, text] = await ask(2);
    assert.equal(status, 400);
    assert.match(text, /larger than 300000 bytes, alone or with the others/);
  });

  test("a name that points inside once it was looked at is not followed there", async () => {
    let looks = 0;
    const rebinding: Resolve = (_name, _options, callback) => {
      looks += 1;
      callback(null, [{ address: looks === 1 ? "1.1.1.1" : "127.0.0.1", family: 4 }]);
    };
    const settings: RemoteContent = { urls: "fetch", allowPrivateNetwork: false, maxBytes: 1000, timeoutMs: 1000 };
    const link: Link = { field: "messages.0", url: site.replace("127.0.0.1", "pictures.example"), isImage: true, replace() {} };
    rebinding("pictures.example", { all: true }, () => {});
    const before = fetched.length;
    await assert.rejects(fetchLink(link, settings, AbortSignal.timeout(1000), rebinding), {
      code: "invalid_request",
      message: /private network/,
    });
    assert.equal(fetched.length, before);
  });
});

test("a request that is nested without end is the client's fault", () => {
  const deep: unknown = JSON.parse(`{"messages":${"[".repeat(20_000)}${"]".repeat(20_000)}}`);
  assert.throws(() => findLinks(deep), { code: "invalid_request", param: "messages" });
});

test("addresses are found where each API puts them", () => {
  const request = {
    messages: [
      { role: "user", content: [{ type: "image_url", image_url: { url: "https://a/1" } }] },
      { role: "user", content: [{ type: "image", source: { type: "url", url: "https://a/2" } }] },
      {
        role: "user",
        content: [{ type: "tool_result", content: [{ type: "image", source: { type: "url", url: "https://a/3" } }] }],
      },
    ],
    input: [
      {
        role: "user",
        content: [
          { type: "input_image", image_url: "https://a/4" },
          { type: "input_file", file_url: "https://a/5" },
        ],
      },
    ],
  };
  const links = findLinks(request);
  assert.deepEqual(
    links.map(({ url, field }) => [url.at(-1), field]),
    [
      ["1", "messages.0.content.0.image_url.url"],
      ["2", "messages.1.content.0.source.url"],
      ["3", "messages.2.content.0.content.0.source.url"],
      ["4", "input.0.content.0.image_url"],
      ["5", "input.0.content.1.file_url"],
    ],
  );
  for (const link of links) link.replace(inlined);
  const text = JSON.stringify(request);
  assert.ok(!text.includes("https://a"));
  assert.ok(text.includes('"source":{"type":"base64","media_type":"image/png","data":"'));
  assert.ok(text.includes('"type":"input_file","file_data":"data:image/png'));
});

test("a body may hold links where one of the words stands, and nowhere else", () => {
  const words = ['"image', '"input_image"', '"file_url"', '"document"'];
  const near = [
    "image",
    '"input_image',
    "file_url",
    '"document',
    '"url"',
    "_url",
    '_url"',
    "mage",
    "mmage",
    '"',
    '"i',
    '"file',
    '"input_i',
    "document",
    "\\u0041",
    "\\n",
  ];
  const random = randomFrom(23);
  const outcomes = { yes: 0, no: 0 };
  for (let round = 0; round < 5000; round += 1) {
    const text =
      Array.from({ length: random(8) }, () => near[random(near.length)]).join("") + (random(4) === 0 ? words[random(4)] : "");
    const expected = words.some((word) => text.includes(word));
    outcomes[expected ? "yes" : "no"] += 1;
    assert.equal(mayHoldLinks(Buffer.from(text)), expected, text);
  }
  assert.ok(outcomes.yes > 500 && outcomes.no > 500, JSON.stringify(outcomes));
});
