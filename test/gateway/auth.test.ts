// Who is let in: tokens, scopes, times, a password, a trusted proxy; and which routes ask nobody.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { loadConfig } from "../../gateway/config/load.ts";
import type { ConfigInput } from "../../gateway/config/schema.ts";
import { createAuthenticator } from "../../gateway/http/auth.ts";
import { type Folder, makeFolder, startGateway, type TestGateway, token } from "../support/gateway.ts";

let folder: Folder;
before(() => {
  folder = makeFolder();
});
after(() => folder.remove());

const demo = { plugins: { entries: { "openclaw-stack": { config: { demo: { enabled: true } } } } } };

async function authenticator(config: ConfigInput, now: string) {
  const path = folder.write("openclaw.json", config);
  const loaded = await loadConfig({ env: {}, path });
  return createAuthenticator(loaded.config, loaded.secrets, () => Date.parse(now));
}

describe("tokens", () => {
  const config: ConfigInput = {
    gateway: { auth: { token: "shared" } },
    plugins: {
      entries: {
        "openclaw-stack": {
          config: {
            demo: { enabled: true },
            tokens: [
              { id: "reader", token: "read-token", scopes: ["operator.read"] },
              { id: "season", token: "season-token", notBefore: "2026-01-01T00:00:00Z", expiresAt: "2026-02-01T00:00:00Z" },
            ],
          },
        },
      },
    },
  };
  const cases: [string, string, string, string | RegExp][] = [
    ["shared", "shared", "2026-01-10T00:00:00Z", "token"],
    ["named", "read-token", "2026-01-10T00:00:00Z", "reader"],
    ["in time", "season-token", "2026-01-10T00:00:00Z", "season"],
    ["too early", "season-token", "2025-12-31T23:59:59Z", /not known/],
    ["too late", "season-token", "2026-02-01T00:00:00Z", /expired/],
    ["wrong", "shared2", "2026-01-10T00:00:00Z", /not known/],
    ["a prefix", "share", "2026-01-10T00:00:00Z", /not known/],
  ];
  for (const [name, given, now, wanted] of cases) {
    test(name, async () => {
      const auth = await authenticator(config, now);
      const attempt = () => auth.authenticate({ authorization: `Bearer ${given}` }, "127.0.0.1");
      if (typeof wanted === "string") assert.equal(attempt().id, wanted);
      else assert.throws(attempt, wanted);
    });
  }

  test("x-api-key is a token too; nothing, Basic and an empty token are not", async () => {
    const auth = await authenticator(config, "2026-01-10T00:00:00Z");
    assert.equal(auth.authenticate({ "x-api-key": "shared" }, "127.0.0.1").id, "token");
    for (const authorization of [undefined, "", "Bearer ", "Basic c2hhcmVk"])
      assert.throws(() => auth.authenticate({ authorization }, "127.0.0.1"), /token is needed/);
  });
});

test("password mode", async () => {
  const auth = await authenticator({ gateway: { auth: { password: "open sesame" } }, ...demo }, "2026-01-10T00:00:00Z");
  assert.equal(auth.authenticate({ authorization: "Bearer open sesame" }, "127.0.0.1").id, "password");
});

test("trusted-proxy mode believes the proxy only", async () => {
  const gateway = {
    auth: { mode: "trusted-proxy" as const, trustedProxy: { userHeader: "X-User", allowUsers: ["ann"] } },
    trustedProxies: ["10.1.0.0/16"],
  };
  const auth = await authenticator({ gateway, ...demo }, "2026-01-10T00:00:00Z");
  assert.equal(auth.authenticate({ "x-user": "ann" }, "::ffff:10.1.2.3").id, "proxy-user");
  assert.throws(() => auth.authenticate({ "x-user": "ann" }, "10.2.0.1"), /proxy only/);
  assert.throws(() => auth.authenticate({}, "10.1.2.3"), /proxy only/);
  assert.throws(() => auth.authenticate({ "x-user": "bob" }, "10.1.2.3"), /not let in/);
});

describe("routes", () => {
  let gateway: TestGateway;
  before(async () => {
    gateway = await startGateway({
      gateway: { auth: { token } },
      plugins: {
        entries: {
          "openclaw-stack": {
            config: { demo: { enabled: true }, tokens: [{ id: "reader", token: "reader-token", scopes: ["operator.read"] }] },
          },
        },
      },
    });
  });
  after(() => gateway.close());
  const get = (path: string, authorization?: string) =>
    gateway.app.server.inject({
      method: "GET",
      url: path,
      headers: authorization ? { authorization: `Bearer ${authorization}` } : {},
    });

  for (const path of ["/healthz", "/health", "/startupz", "/startup", "/readyz", "/ready", "/readyz/models", "/"]) {
    test(`${path} asks nobody`, async () => assert.equal((await get(path)).statusCode, 200));
  }
  for (const path of ["/v1/models", "/v1/models/demo", "/metrics", "/api/diagnostics/prometheus"]) {
    test(`${path} asks for a token`, async () => {
      const refused = await get(path);
      assert.equal(refused.statusCode, 401);
      assert.match(String(refused.headers["www-authenticate"]), /^Bearer/);
      assert.equal((await get(path, token)).statusCode, 200);
    });
  }

  test("liveness has both audiences' fields", async () =>
    assert.deepEqual((await get("/healthz")).json(), { status: "ok", ok: true }));

  test("readiness shows detail to a caller who may read it", async () => {
    assert.deepEqual((await get("/readyz")).json(), { status: "ready", ready: true, failing: [], degraded: [] });
    const detail = (await get("/readyz", "reader-token")).json();
    assert.equal(detail.config.generation, 1);
    assert.match(detail.config.hash, /^[0-9a-f]{64}$/);
    assert.deepEqual(detail.config.pendingRestart, []);
  });

  test("a token without the scope is told so", async () => {
    const answer = await gateway.app.server.inject({
      method: "POST",
      url: "/v1/chat/completions",
      headers: { authorization: "Bearer reader-token" },
      payload: "{}",
    });
    assert.equal(answer.statusCode, 403);
    assert.match(answer.json().error.message, /reader lacks the scope operator.write/);
  });

  test("unknown paths are JSON 404, wrong methods JSON 405, never HTML", async () => {
    for (const path of ["/nope", "/v1", "/v1/nope", "/index.html", "/%zz", "/..%2f..%2fetc/passwd"]) {
      const answer = await get(path, token);
      assert.ok(answer.statusCode === 404 || answer.statusCode === 400, `${path}: ${answer.statusCode}`);
      assert.match(String(answer.headers["content-type"]), /^application\/json/);
      assert.equal(typeof answer.json().error.code, "string");
    }
    const wrong = await get("/v1/chat/completions", token);
    assert.equal(wrong.statusCode, 405);
    assert.equal(wrong.headers.allow, "POST");
  });

  test("the page brings nothing from elsewhere and shows no secret", async () => {
    const page = await get("/");
    assert.match(String(page.headers["content-security-policy"]), /default-src 'none'/);
    assert.doesNotMatch(page.body, /<script|src=|href=|@import|url\(/);
    assert.ok(!page.body.includes(token));
  });

  test("the demonstration says that it is one", async () => {
    const answer = await gateway.app.server.inject({
      method: "POST",
      url: "/v1/chat/completions",
      headers: { authorization: `Bearer ${token}` },
      payload: '{"messages":[]}',
    });
    assert.equal(answer.statusCode, 200);
    assert.match(answer.json().choices[0].message.content, /demonstration model.*no model is connected/);
  });
});
