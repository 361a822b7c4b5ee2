// A token is replaced: old and new are let in together until the old one's time is over, and nobody is refused meanwhile.
import assert from "node:assert/strict";
import { renameSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { loadConfig } from "../../../gateway/config/load.ts";
import type { ConfigInput } from "../../../gateway/config/schema.ts";
import { type Authenticator, createAuthenticator } from "../../../gateway/http/auth.ts";
import { type FakeUpstream, startFakeUpstream } from "../../support/fake-upstream.ts";
import { type Folder, makeFolder, startGateway } from "../../support/gateway.ts";

type Stack = NonNullable<NonNullable<NonNullable<NonNullable<ConfigInput["plugins"]>["entries"]>["openclaw-stack"]>["config"]>;

describe("who is let in", () => {
  let folder: Folder;
  before(() => {
    folder = makeFolder();
  });
  after(() => folder.remove());
  const start = Date.parse("2026-06-01T00:00:00Z");
  let time = start;

  async function next(stack: Stack, old?: Authenticator, shared?: string): Promise<Authenticator> {
    const config: ConfigInput = {
      ...(shared ? { gateway: { auth: { token: shared } } } : {}),
      plugins: { entries: { "openclaw-stack": { config: { demo: { enabled: true }, ...stack } } } },
    };
    const loaded = await loadConfig({ env: {}, path: folder.write("openclaw.json", config) });
    return createAuthenticator(loaded.config, loaded.secrets, () => time, old);
  }
  const enters = (auth: Authenticator, token: string): string | false => {
    try {
      return auth.authenticate({ authorization: `Bearer ${token}` }, "127.0.0.1").id;
    } catch {
      return false;
    }
  };

  test("previous: the same caller by both tokens, until the old one's end", async () => {
    time = start;
    const previous = { token: "old-token", expiresAt: "2026-06-02T00:00:00Z" };
    const auth = await next({ tokens: [{ id: "ci", token: "new-token", previous, notBefore: "2026-06-01T12:00:00Z" }] });
    assert.deepEqual([enters(auth, "old-token"), enters(auth, "new-token")], ["ci", false]);
    time = Date.parse("2026-06-01T12:00:00Z");
    assert.deepEqual([enters(auth, "old-token"), enters(auth, "new-token")], ["ci", "ci"]);
    time = Date.parse("2026-06-02T00:00:00Z");
    assert.deepEqual([enters(auth, "old-token"), enters(auth, "new-token")], [false, "ci"]);
  });

  test("the gateway's own token too", async () => {
    time = start;
    const rotation = { previousToken: { token: "old-shared", expiresAt: "2026-06-02T00:00:00Z" } };
    const auth = await next({ rotation }, undefined, "new-shared");
    assert.deepEqual([enters(auth, "old-shared"), enters(auth, "new-shared")], ["token", "token"]);
    time = Date.parse("2026-06-02T00:00:00Z");
    assert.deepEqual([enters(auth, "old-shared"), enters(auth, "new-shared")], [false, "token"]);
  });

  test("a value that changes while the gateway runs overlaps for rotation.overlapSeconds, once", async () => {
    time = start;
    const stack = (token: string): Stack => ({ tokens: [{ id: "ci", token }], rotation: { overlapSeconds: 60 } });
    const first = await next(stack("token-a"));
    const second = await next(stack("token-b"), first);
    time += 30_000;
    const third = await next(stack("token-c"), second);
    assert.deepEqual(
      ["a", "b", "c"].map((name) => enters(third, `token-${name}`)),
      ["ci", "ci", "ci"],
    );
    time += 30_000;
    assert.deepEqual(
      ["a", "b", "c"].map((name) => enters(third, `token-${name}`)),
      [false, "ci", "ci"],
    );
    const fourth = await next(stack("token-c"), third);
    time += 30_000;
    assert.deepEqual(
      ["a", "b", "c"].map((name) => enters(fourth, `token-${name}`)),
      [false, false, "ci"],
    );
  });

  test("what is taken away is refused at once: a token, a previous one, and with overlapSeconds 0", async () => {
    time = start;
    const first = await next({
      tokens: [
        { id: "ci", token: "token-a", previous: { token: "token-0", expiresAt: "2027-01-01T00:00:00Z" } },
        { id: "gone", token: "token-g" },
      ],
    });
    const second = await next({ tokens: [{ id: "ci", token: "token-a" }] }, first);
    assert.deepEqual(
      ["token-0", "token-g", "token-a"].map((token) => enters(second, token)),
      [false, false, "ci"],
    );
    const third = await next({ tokens: [{ id: "ci", token: "token-b" }], rotation: { overlapSeconds: 0 } }, second);
    assert.deepEqual(
      ["token-a", "token-b"].map((token) => enters(third, token)),
      [false, "ci"],
    );
  });

  test("the old value keeps what its token may no longer do away with: new scopes and an end count at once", async () => {
    time = start;
    const first = await next({ tokens: [{ id: "ci", token: "token-a" }] });
    const second = await next(
      { tokens: [{ id: "ci", token: "token-b", scopes: ["operator.read"], expiresAt: "2026-06-01T00:01:00Z" }] },
      first,
    );
    const caller = second.authenticate({ authorization: "Bearer token-a" }, "127.0.0.1");
    assert.deepEqual([...caller.scopes], ["operator.read"]);
    time += 60_000;
    assert.equal(enters(second, "token-a"), false);
  });
});

describe("under load", () => {
  let upstream: FakeUpstream;
  before(async () => {
    upstream = await startFakeUpstream();
    await upstream.script([{}]);
  });
  after(() => upstream.close());

  test("a secret file is replaced three times, and no request is refused", async () => {
    const secrets = makeFolder();
    const put = (value: string): void => renameSync(secrets.write("new", `${value}\n`), `${secrets.path}/ci`);
    put("token-number-0");
    const gateway = await startGateway({
      gateway: { auth: { token: "the-owners-own-token" } },
      secrets: { providers: { ci: { source: "file", path: `${secrets.path}/ci`, mode: "singleValue" } } },
      models: { providers: { fake: { api: "openai-completions", baseUrl: upstream.baseUrl, models: [{ id: "fake-model" }] } } },
      plugins: {
        entries: {
          "openclaw-stack": { config: { tokens: [{ id: "ci", token: { source: "file", provider: "ci", id: "value" } }] } },
        },
      },
    });
    let running = true;
    /** What a caller would use: some hear of the new one late. */
    let newest = 0;
    const statuses = new Map<number, number>();
    const caller = async (lag: number): Promise<void> => {
      while (running) {
        const response = await fetch(`${gateway.url}/v1/chat/completions`, {
          method: "POST",
          headers: { authorization: `Bearer token-number-${Math.max(0, newest - lag)}`, "content-type": "application/json" },
          body: '{"model":"fake-model","messages":[]}',
        });
        await response.arrayBuffer();
        statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      }
    };
    const count = (): number => [...statuses.values()].reduce((sum, one) => sum + one, 0);
    const more = async (): Promise<void> => {
      const wanted = count() + 40;
      while (count() < wanted) await new Promise((resolve) => setImmediate(resolve));
    };
    try {
      const callers = [0, 0, 1, 1].map(caller);
      for (let rotation = 1; rotation <= 3; rotation += 1) {
        await more();
        put(`token-number-${rotation}`);
        await gateway.app.reloadSecrets();
        await more();
        newest = rotation;
      }
      await more();
      running = false;
      await Promise.all(callers);
      assert.deepEqual([...statuses.keys()], [200]);
    } finally {
      running = false;
      await gateway.close();
      secrets.remove();
    }
  });
});
