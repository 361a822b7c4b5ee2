// Where requests come from: trusted proxies, networks of tokens, limits of an address, and who guesses tokens.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadConfig } from "../../../gateway/config/load.ts";
import type { ConfigInput } from "../../../gateway/config/schema.ts";
import { GatewayError } from "../../../gateway/errors.ts";
import { createAuthenticator } from "../../../gateway/http/auth.ts";
import { addressGroup, createClientAddress } from "../../../gateway/http/client-address.ts";
import { createEntrance } from "../../../gateway/http/entrance.ts";
import { createMetrics } from "../../../gateway/observability/metrics.ts";
import { createLocalAllowances } from "../../../gateway/store/local-allowances.ts";
import { createMeter } from "../../../gateway/store/meter.ts";
import { makeFolder, startGateway, type TestGateway, token } from "../../support/gateway.ts";

describe("the client's address", () => {
  const proxies = ["10.0.0.0/8", "fd00::/8"];
  const cases: [string, string, Record<string, string>, string][] = [
    ["no proxy, no header", "192.0.2.1", {}, "192.0.2.1"],
    ["a stranger's header is not believed", "192.0.2.1", { "x-forwarded-for": "10.9.9.9" }, "192.0.2.1"],
    ["one proxy", "10.0.0.1", { "x-forwarded-for": "192.0.2.7" }, "192.0.2.7"],
    ["what the client wrote itself stands left", "10.0.0.1", { "x-forwarded-for": "127.0.0.1, 192.0.2.7" }, "192.0.2.7"],
    ["two proxies", "10.0.0.1", { "x-forwarded-for": "6.6.6.6, 192.0.2.7, 10.0.0.2" }, "192.0.2.7"],
    ["proxies only", "10.0.0.1", { "x-forwarded-for": "10.0.0.3, 10.0.0.2" }, "10.0.0.3"],
    ["IPv4 in IPv6", "::ffff:10.0.0.1", { "x-forwarded-for": "::ffff:192.0.2.7" }, "192.0.2.7"],
    ["with ports", "10.0.0.1", { "x-forwarded-for": "192.0.2.7:4711" }, "192.0.2.7"],
    ["IPv6 with brackets and port", "fd00::1", { "x-forwarded-for": "[2001:db8::5]:80" }, "2001:db8::5"],
    ["rubbish ends at who sent it", "10.0.0.1", { "x-forwarded-for": "192.0.2.7, <script>" }, "10.0.0.1"],
    ["Forwarded", "10.0.0.1", { forwarded: 'for=6.6.6.6, for="[2001:db8::5]:443";proto=https' }, "2001:db8::5"],
    ["Forwarded, other order", "10.0.0.1", { forwarded: "proto=https;For=192.0.2.7;by=10.0.0.1" }, "192.0.2.7"],
    ["Forwarded, hidden", "10.0.0.1", { forwarded: "for=_secret" }, "10.0.0.1"],
    ["X-Forwarded-For goes first", "10.0.0.1", { "x-forwarded-for": "192.0.2.7", forwarded: "for=192.0.2.8" }, "192.0.2.7"],
  ];
  for (const [name, socket, headers, wanted] of cases)
    test(name, () => assert.equal(createClientAddress(proxies)(headers, socket), wanted));
  test("nobody is trusted by default", () =>
    assert.equal(createClientAddress([])({ "x-forwarded-for": "192.0.2.7" }, "10.0.0.1"), "10.0.0.1"));

  test("a customer's IPv6 network is one client", () =>
    assert.deepEqual(
      ["192.0.2.1", "2001:db8:1:2:3:4:5:6", "2001:0DB8:1:2::", "2001:db8::5", "::1", "fe80::1%eth0", "64:ff9b::1.2.3.4"].map(
        addressGroup,
      ),
      [
        "192.0.2.1",
        "2001:db8:1:2::/64",
        "2001:db8:1:2::/64",
        "2001:db8:0:0::/64",
        "0:0:0:0::/64",
        "fe80:0:0:0::/64",
        "64:ff9b:0:0::/64",
      ],
    ));
});

async function entrance(gateway: ConfigInput["gateway"]) {
  const folder = makeFolder();
  const path = folder.write("openclaw.json", {
    gateway: { auth: { token }, ...gateway },
    plugins: { entries: { "openclaw-stack": { config: { demo: { enabled: true } } } } },
  });
  const { config, stack, secrets } = await loadConfig({ env: {}, path });
  folder.remove();
  let time = 1_800_000_000_000;
  const auth = createAuthenticator(config, secrets, () => time);
  const clientAddress = createClientAddress(config.gateway.trustedProxies);
  const meter = createMeter(createLocalAllowances({ now: () => time }), { holder: "t", direct: true, now: () => time });
  const made = createEntrance({
    metrics: createMetrics("0"),
    meter,
    settings: () => ({ config, stack, auth, clientAddress }),
    now: () => time,
  });
  return {
    pass(ms: number) {
      time += ms;
    },
    /** The token's id, or the error's code. */
    come(given: string | undefined, address: string): string {
      try {
        return made.identify(given === undefined ? {} : { authorization: `Bearer ${given}` }, address, address).id;
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
        return error.retryAfter === undefined ? error.code : `${error.code} ${error.retryAfter}`;
      }
    },
  };
}

describe("lock-out", () => {
  const rateLimit = { maxAttempts: 3, windowMs: 60_000, lockoutMs: 300_000 };

  test("after so many wrong tokens the address is refused, with the right one too, until the time is over", async () => {
    const { come, pass } = await entrance({ auth: { token, rateLimit } });
    assert.deepEqual(
      [1, 2, 3].map((guess) => come(`guess-${guess}`, "192.0.2.1")),
      ["invalid_api_key", "invalid_api_key", "invalid_api_key"],
    );
    assert.equal(come("guess-4", "192.0.2.1"), "too_many_attempts 300");
    assert.equal(come(token, "192.0.2.1"), "too_many_attempts 300");
    assert.equal(come(token, "192.0.2.2"), "token", "others are not touched");
    pass(299_000);
    assert.equal(come(token, "192.0.2.1"), "too_many_attempts 1");
    pass(1000);
    assert.equal(come(token, "192.0.2.1"), "token");
  });

  test("slow mistakes, and no token at all, lock nobody out", async () => {
    const { come, pass } = await entrance({ auth: { token, rateLimit } });
    for (let count = 0; count < 20; count += 1) {
      assert.equal(come(`typo-${count}`, "192.0.2.1"), "invalid_api_key");
      assert.equal(come(undefined, "192.0.2.1"), "invalid_api_key");
      pass(31_000);
    }
    assert.equal(come(token, "192.0.2.1"), "token");
  });

  test("all of a /64 is one guesser, and this machine itself is exempt", async () => {
    const { come } = await entrance({ auth: { token, rateLimit } });
    for (const end of [1, 2, 3]) come("guess", `2001:db8::${end}`);
    assert.match(come(token, "2001:db8::9"), /^too_many/);
    for (let count = 0; count < 20; count += 1) come("guess", "127.0.0.1");
    assert.equal(come(token, "127.0.0.1"), "token");
    const strict = await entrance({ auth: { token, rateLimit: { ...rateLimit, exemptLoopback: false } } });
    for (let count = 0; count < 3; count += 1) strict.come("guess", "127.0.0.1");
    assert.match(strict.come(token, "127.0.0.1"), /^too_many/);
  });

  test("without the setting nobody is locked out", async () => {
    const { come } = await entrance({ auth: { token } });
    for (let count = 0; count < 100; count += 1) come("guess", "192.0.2.1");
    assert.equal(come(token, "192.0.2.1"), "token");
  });

  test("however many guessers there are, only so many are remembered: those of late", async () => {
    const { come } = await entrance({ auth: { token, rateLimit: { ...rateLimit, maxAttempts: 2 } } });
    const address = (n: number): string => `10.0.${n >> 8}.${n & 255}`;
    come("guess", "192.0.2.1");
    for (let n = 0; n < 21_000; n += 1) come("guess", address(n));
    come("guess", "192.0.2.1");
    assert.equal(come(token, "192.0.2.1"), "token", "its first guess was forgotten");
    for (let n = 0; n < 11_000; n += 1) for (const guess of ["a", "b"]) come(guess, address(n));
    assert.equal(come(token, address(0)), "token", "its lock-out was forgotten");
    assert.match(come(token, address(10_999)), /^too_many/);
  });
});

describe("through the gateway", () => {
  const open = (gateway: ConfigInput["gateway"], stack: object): Promise<TestGateway> =>
    startGateway({
      gateway: { auth: { token }, ...gateway },
      plugins: { entries: { "openclaw-stack": { config: { demo: { enabled: true }, ...stack } } } },
    });
  const get = (gateway: TestGateway, from: string, bearer: string, path = "/v1/models") =>
    gateway.app.server.inject({
      method: "GET",
      url: path,
      remoteAddress: "10.0.0.1",
      headers: { authorization: `Bearer ${bearer}`, "x-forwarded-for": from },
    });

  test("allowFrom behind a trusted proxy goes by the client, not by the proxy", async () => {
    const tokens = [{ id: "office", token: "office-token", allowFrom: ["192.0.2.0/24", "2001:db8::/32"] }];
    const gateway = await open({ trustedProxies: ["10.0.0.0/8"] }, { tokens });
    try {
      assert.equal((await get(gateway, "192.0.2.55", "office-token")).statusCode, 200);
      assert.equal((await get(gateway, "2001:db8:7::1", "office-token")).statusCode, 200);
      const refused = await get(gateway, "198.51.100.1", "office-token");
      assert.equal(refused.statusCode, 403);
      assert.equal(refused.json().error.code, "address_refused");
      assert.equal((await get(gateway, "192.0.2.55, 198.51.100.1", "office-token")).statusCode, 403, "its own claim");
      assert.equal((await get(gateway, "198.51.100.1", token)).statusCode, 200);
      const lines = gateway.lines.map((line) => JSON.parse(line)).filter(({ event }) => event === "request");
      assert.deepEqual(
        lines.map(({ remote }) => remote),
        ["192.0.2.55", "2001:db8:7::1", "198.51.100.1", "198.51.100.1", "198.51.100.1"],
      );
    } finally {
      await gateway.close();
    }
  });

  test("without trustedProxies the header is nothing: the proxy's own address counts", async () => {
    const tokens = [{ id: "office", token: "office-token", allowFrom: ["192.0.2.0/24"] }];
    const gateway = await open({}, { tokens });
    try {
      assert.equal((await get(gateway, "192.0.2.55", "office-token")).statusCode, 403);
    } finally {
      await gateway.close();
    }
  });

  test("guessers are locked out on every route that reads a token; others behind the same proxy are not", async () => {
    const auth = { token, rateLimit: { maxAttempts: 3, windowMs: 60_000, lockoutMs: 60_000 } };
    const gateway = await open({ auth, trustedProxies: ["10.0.0.1"] }, {});
    try {
      assert.equal((await get(gateway, "192.0.2.1", "wrong")).statusCode, 401);
      assert.equal((await get(gateway, "192.0.2.1", "wrong", "/readyz")).statusCode, 200);
      assert.equal((await get(gateway, "192.0.2.1", "wrong", "/metrics")).statusCode, 401);
      const locked = await get(gateway, "192.0.2.1", token);
      assert.equal(locked.statusCode, 429);
      assert.ok(Number(locked.headers["retry-after"]) > 0);
      assert.equal(locked.json().error.code, "too_many_attempts");
      assert.equal((await get(gateway, "192.0.2.1", token, "/readyz")).json().version, undefined, "no detail either");
      assert.equal((await get(gateway, "192.0.2.2", token)).statusCode, 200);
      const { body } = await get(gateway, "192.0.2.2", token, "/metrics");
      assert.match(body, /^openclaw_auth_lockouts_total 1$/m);
    } finally {
      await gateway.close();
    }
  });

  test("an address may ask so often, whatever its tokens", async () => {
    const gateway = await open({ trustedProxies: ["10.0.0.1"] }, { rateLimit: { maxRequestsPerMinutePerAddress: 3 } });
    try {
      const codes: number[] = [];
      for (const bearer of [token, "wrong", token, token]) codes.push((await get(gateway, "192.0.2.1", bearer)).statusCode);
      assert.deepEqual(codes, [200, 401, 200, 429]);
      assert.equal((await get(gateway, "192.0.2.2", token)).statusCode, 200);
      assert.equal((await get(gateway, "192.0.2.1", token, "/healthz")).statusCode, 200, "probes are not counted");
    } finally {
      await gateway.close();
    }
  });
});
