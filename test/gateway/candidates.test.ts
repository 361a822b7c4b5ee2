// Which upstream is asked: pools by load, weight and stickiness, fallbacks in order, what is broken last.
import assert from "node:assert/strict";
import { test } from "node:test";
import { GatewayError } from "../../gateway/errors.ts";
import { type Affinity, createBalancer, createCandidates, SingleCandidate } from "../../gateway/models/candidates.ts";
import type { ProviderHealth } from "../../gateway/models/health.ts";
import type { Provider } from "../../gateway/models/provider.ts";
import { createRouter } from "../../gateway/models/router.ts";
import { createUpstreams } from "../../gateway/models/upstreams.ts";
import { createMetrics } from "../../gateway/observability/metrics.ts";

function provider(id: string, models = ["qwen"]): Provider {
  return {
    id,
    kind: "test",
    models: models.map((model) => ({ id: model })),
    apis: ["chat-completions"],
    call: () => ({ abort() {}, resume() {} }),
    listServed: async () => [],
    close: async () => {},
  };
}

const none: Affinity = { sessionKey: undefined, prompt: () => undefined };
const session = (sessionKey: string): Affinity => ({ sessionKey, prompt: () => undefined });
type Sticky = "none" | "session" | "prompt";

function setUp(members: (string | { model: string; weight: number })[], sticky: Sticky = "session", lastResort = true) {
  const router = createRouter({
    providers: [provider("a"), provider("b"), provider("c"), provider("cloud", ["gpt"])],
    primary: "pool",
    fallbacks: ["cloud/gpt"],
    aliases: new Map([["fast", "pool"]]),
    routing: {
      pools: {
        pool: {
          sticky,
          members: members.map((member) => (typeof member === "string" ? { model: member, weight: 1 } : member)),
        },
      },
      fallbacks: { "cloud/gpt": ["pool"] },
    },
  });
  const down = new Set<string>();
  const errorRate = { threshold: 1, minRequests: 1000, windowMs: 1000 };
  const breaker = { failures: 1, errorRate, openMs: 1000, maxOpenMs: 1000 };
  const upstreams = createUpstreams(breaker, createMetrics("test"), undefined, () => 0);
  const balancer = createBalancer(upstreams);
  const health = { of: (id: string): ProviderHealth => ({ provider: id, state: down.has(id) ? "down" : "up" }) };
  const ask = (name: string, affinity: Affinity = none) => {
    const route = router.resolve(name);
    const candidates = createCandidates(route, router.fallbacksOf(route), affinity, {
      upstreams,
      health,
      balancer,
      lastResort,
    });
    const next = (full: readonly string[] = []) => {
      const choice = candidates.choose(({ provider: { id } }) => (full.includes(id) ? undefined : { leave() {} }));
      return choice && "route" in choice ? choice.route : undefined;
    };
    return { ...candidates, next };
  };
  const breakIt = (id: string, model = "qwen"): void =>
    upstreams.begin({ provider: provider(id), model }).end(new GatewayError("upstream_failed", "made to fail"));
  const order = (name: string, affinity?: Affinity): string[] => {
    const candidates = ask(name, affinity);
    const found: string[] = [];
    for (let route = candidates.next(); route; route = candidates.next()) found.push(route.provider.id);
    return found;
  };
  return { router, upstreams, down, ask, order, breakIt };
}

test("a pool is asked for by its name, an alias, or the id that only its members serve", () => {
  const { router } = setUp(["a/qwen", "b/qwen", "c/qwen"]);
  for (const name of ["pool", "fast", "qwen"]) assert.equal(router.resolve(name).pool?.id, "pool", name);
  assert.equal(router.resolve("a/qwen").pool, undefined, "one member in full is that one alone");
  assert.deepEqual(
    router
      .list()
      .filter((model) => model.provider === "pool")
      .map((model) => model.id),
    ["pool"],
  );
  assert.throws(() => setUp(["a/qwen", "b/qwen"]).router.resolve("qwen"), { code: "model_ambiguous" });
});

test("the least loaded answers; equally loaded ones take turns", () => {
  const { ask, upstreams } = setUp(["a/qwen", "b/qwen", "c/qwen"]);
  const turns = Array.from({ length: 6 }, () => ask("pool").next()?.provider.id).join("");
  assert.match(turns, /^(abc|acb|bac|bca|cab|cba)\1$/);
  const counts = new Map<string, number>();
  for (let call = 0; call < 9; call += 1) {
    const route = ask("pool").next();
    assert.ok(route);
    upstreams.begin(route);
    counts.set(route.provider.id, (counts.get(route.provider.id) ?? 0) + 1);
  }
  assert.deepEqual([...counts.values()], [3, 3, 3]);
});

test("weights share calls under way and turns alike", () => {
  const { ask, upstreams } = setUp([{ model: "a/qwen", weight: 3 }, "b/qwen"]);
  const counts: Record<string, number> = { a: 0, b: 0 };
  for (let call = 0; call < 40; call += 1) {
    const route = ask("pool").next();
    assert.ok(route);
    upstreams.begin(route);
    counts[route.provider.id] = (counts[route.provider.id] ?? 0) + 1;
  }
  assert.deepEqual(counts, { a: 30, b: 10 });
});

test("a session stays at its upstream, sessions spread, and only those of a broken one move", () => {
  const { ask, breakIt } = setUp(["a/qwen", "b/qwen", "c/qwen"]);
  const keys = Array.from({ length: 60 }, (_, index) => `session-${index}`);
  const place = () => keys.map((key) => ask("pool", session(key)).next()?.provider.id);
  const first = place();
  assert.deepEqual(place(), first);
  for (const id of ["a", "b", "c"]) assert.ok(first.filter((one) => one === id).length >= 8, `${id} has its share`);
  breakIt("b");
  const moved = place();
  assert.ok(!moved.includes("b"));
  for (const [index, id] of first.entries()) if (id !== "b") assert.equal(moved[index], id);
});

test("a busy upstream loses its sessions to the others until it has caught up", () => {
  const { ask, upstreams } = setUp(["a/qwen", "b/qwen"]);
  const home = ask("pool", session("x")).next();
  assert.ok(home);
  for (let call = 0; call < 10; call += 1) upstreams.begin(home);
  assert.notEqual(ask("pool", session("x")).next()?.provider.id, home.provider.id);
});

test("the beginning of a conversation ties it where the pool asks for that, and is not read elsewhere", () => {
  const tied = setUp(["a/qwen", "b/qwen", "c/qwen"], "prompt");
  const prompt = (text: string): Affinity => ({ sessionKey: undefined, prompt: () => text });
  const places = Array.from({ length: 5 }, () => tied.ask("pool", prompt("You are a pirate.")).next()?.provider.id);
  assert.equal(new Set(places).size, 1);
  const unread = {
    sessionKey: undefined,
    prompt: () => assert.fail("the prompt is not looked at"),
  };
  setUp(["a/qwen", "b/qwen"]).ask("pool", unread).next();
});

test("members first, then fallbacks; each once", () => {
  const { order } = setUp(["a/qwen", "b/qwen"]);
  assert.match(order("pool").join(" "), /^(a b|b a) cloud$/);
  assert.match(order("cloud/gpt").join(" "), /^cloud (a b|b a)$/);
  assert.deepEqual(order("a/qwen"), ["a"], "what has no fallback has none");
});

test("an upstream that is down by the last look is asked after the others; a broken one only as the last resort", () => {
  const { order, down, breakIt } = setUp(["a/qwen", "b/qwen"]);
  down.add("a");
  assert.deepEqual(order("pool"), ["b", "cloud", "a"]);
  breakIt("b");
  assert.deepEqual(order("pool"), ["cloud", "a"]);
  breakIt("a");
  breakIt("cloud", "gpt");
  assert.equal(order("pool").length, 1, "all are broken: one is asked all the same");
});

test("without a last resort nobody is asked while all are broken", () => {
  const { ask, breakIt } = setUp(["a/qwen"], "session", false);
  breakIt("a");
  breakIt("cloud", "gpt");
  const candidates = ask("pool");
  assert.equal(candidates.next(), undefined);
  assert.equal(candidates.waitMs(), 1000);
});

test("an upstream that is the only one is given once, and to those that wait when it is full", () => {
  const only = provider("a");
  const route = { provider: only, model: "qwen" };
  const place = { leave() {} };
  let waitMs = 0;
  const deps = {
    upstreams: {
      ...createUpstreams(
        { failures: 1, errorRate: { threshold: 1, minRequests: 9, windowMs: 1000 }, openMs: 1, maxOpenMs: 1 },
        createMetrics("test"),
      ),
      waitMs: () => waitMs,
    },
    health: { of: (id: string): ProviderHealth => ({ provider: id, state: "down" }) },
  };
  const single = new SingleCandidate(route, deps.upstreams, deps.health, false);
  assert.deepEqual(
    single.choose(() => undefined),
    { full: [route] },
  );
  assert.equal(
    single.chooseSpare(() => place),
    undefined,
  );
  assert.deepEqual(
    single.choose(() => place),
    { route, place },
  );
  assert.equal(
    single.choose(() => place),
    undefined,
  );
  single.giveBack(route);
  waitMs = 5;
  assert.equal(
    single.choose(() => place),
    undefined,
  );
  assert.equal(single.waitMs(), 5);
  const last = new SingleCandidate(route, deps.upstreams, deps.health, true);
  assert.deepEqual(
    last.choose(() => place),
    { route, place },
  );
});
