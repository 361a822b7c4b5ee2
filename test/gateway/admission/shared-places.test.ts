// Places at an upstream that several processes share: never more together than allowed, none left idle, and no fallback before it is known.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createLocalAllowances } from "../../../gateway/store/local-allowances.ts";
import { createMeter } from "../../../gateway/store/meter.ts";
import { type Request, routeOf, startAdmission } from "../../support/admission.ts";

type Stack = Parameters<typeof startAdmission>[0];

/** So many processes; the authority is another one, and answers later. */
function processes(count: number, stack: Stack) {
  let time = 1_000_000;
  const authority = createLocalAllowances({ now: () => time, leaseMs: 500 });
  const far = { ...authority, lease: async (request: Parameters<typeof authority.lease>[0]) => authority.lease(request) };
  const meters = Array.from({ length: count }, (_, index) =>
    createMeter(far, { holder: `p${index}`, direct: false, now: () => time }),
  );
  const all = meters.map((meter) => startAdmission(stack, meter));
  const answers = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    all,
    answers,
    send(index: number, options: Parameters<(typeof all)[number]["send"]>[0] = {}): Request {
      const one = all[index % all.length];
      if (!one) throw new Error("no process");
      return one.send(options);
    },
    async pass(ms: number): Promise<void> {
      for (let gone = 0; gone < ms; gone += 50) {
        time += 50;
        for (const { clock } of all) clock.advance(50);
        await answers();
      }
    },
    close() {
      for (const { admission } of all) admission.close();
      for (const meter of meters) meter.close();
    },
  };
}

const patient = { queue: { maxWaitMs: 80_000_000, maxLength: 10_000 } };
const places: Readonly<Record<string, Stack>> = {
  "quotas.concurrent": { admission: patient, quotas: { a: { concurrent: 5 } } },
  "a key's concurrent": {
    admission: patient,
    quotas: { a: { concurrent: 9, keys: [{ id: "k", apiKey: "x", concurrent: 5 }] } },
  },
  "maxConcurrent of a provider": { admission: { ...patient, upstreams: { a: { maxConcurrent: 5 } } } },
  "maxConcurrent of a model": {
    admission: { ...patient, upstreams: { a: { maxConcurrent: 9 }, "a/m": { maxConcurrent: 5 } } },
  },
};

for (const [name, stack] of Object.entries(places)) {
  test(`${name} holds for four processes together, and all of it is used`, async () => {
    const cluster = processes(4, stack);
    const { answers, send, pass } = cluster;
    const underWay = new Set<Request>();
    const begun = new Set<Request>();
    const requests = Array.from({ length: 60 }, (_, index) => send(index));
    await answers();
    for (let round = 0; begun.size < requests.length; round += 1) {
      assert.ok(round < 200, `${begun.size} of ${requests.length} began`);
      for (const request of requests) {
        if (!request.place || begun.has(request)) continue;
        begun.add(request);
        underWay.add(request);
      }
      assert.ok(underWay.size <= 5, `${underWay.size} at the same time`);
      if (begun.size < requests.length) assert.ok(underWay.size > 0 || round < 5, "somebody has a place");
      const [first] = underWay;
      first?.place?.leave({ outcome: "ok", durationMs: 1, firstByteMs: undefined, usage: undefined });
      if (first) underWay.delete(first);
      // Those of other processes hear of a free place when they ask again.
      await pass(150);
    }
    assert.equal(underWay.size <= 5, true);
    cluster.close();
  });
}

test("a fallback answers when the places are taken, not while it is being asked", async () => {
  const cluster = processes(2, { admission: patient, quotas: { a: { concurrent: 2 } } });
  const routes = [routeOf("a"), routeOf("b")];
  const first = [0, 1].map((index) => cluster.send(index, { routes }));
  await cluster.answers();
  const later = [0, 1, 2].map((index) => cluster.send(index, { routes }));
  await cluster.answers();
  const at = (requests: readonly Request[]) => requests.map(({ route }) => route?.provider.id);
  assert.deepEqual(at(first), ["a", "a"]);
  assert.deepEqual(at(later), ["b", "b", "b"]);
  cluster.close();
});

test("with a queue for nobody a request still waits for the others' answer, and is refused when it is no", async () => {
  const cluster = processes(2, { admission: { queue: { maxLength: 0 } }, quotas: { a: { concurrent: 1 } } });
  const [one, two] = [cluster.send(0), cluster.send(1)];
  await cluster.answers();
  assert.equal(one.route?.provider.id, "a");
  assert.equal(two.error?.code, "overloaded");
  cluster.close();
});
