/** What every provider must do, whatever it provides. Each embedded provider's test runs it with resources of its own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type CheckResponse, type Provider, ProviderError } from "../../engine/providers/provider.ts";
import { isMap, isSecret, type PropertyMap, secret, unknown, type Value } from "../../engine/values.ts";

export interface ConformanceCase {
  type: string;
  inputs: PropertyMap;
  /** Other inputs that must show as a change. */
  changed?: PropertyMap;
  /** Inputs that Check must refuse. */
  invalid: PropertyMap;
  /** Inputs with which Create fails although Check accepts them; `planted` in them must not show. */
  failing?: PropertyMap;
  /** False where a read by id alone is not possible. */
  importable: boolean;
  /** Something real that Create makes: false before and after a preview, true after a create. */
  exists?(): boolean;
}

export const planted = "pl4nted-s3cret-value";

export function conformance(name: string, create: () => Provider, cases: ConformanceCase[]): void {
  const signal = new AbortController().signal;
  const withProvider = async (work: (provider: Provider) => Promise<void>) => {
    const provider = create();
    try {
      await work(provider);
    } finally {
      await provider.close();
    }
  };

  test(`${name}: configuration and its own version`, () =>
    withProvider(async (provider) => {
      const { version } = await provider.getPluginInfo();
      assert.match(version ?? "", /^\d+\.\d+\.\d+$/);
      const urn = `urn:pulumi:dev::p::pulumi:providers:${name}::default`;
      const checked = await provider.checkConfig({ urn, olds: {}, news: { version: version ?? "" } });
      assert.equal(checked.inputs?.version, version);
      assert.deepEqual(
        await provider.checkConfig({ urn, olds: {}, news: checked.inputs }),
        checked,
        "CheckConfig is idempotent",
      );
      const configured = await provider.configure({ args: checked.inputs, acceptSecrets: true, acceptResources: true });
      assert.equal(configured.supportsPreview, true);
    }));

  test(`${name}: an unknown type or function is refused with the plug-in's name`, () =>
    withProvider(async (provider) => {
      const urn = `urn:pulumi:dev::p::${name}:index:Nothing::x`;
      const calls: (() => Promise<unknown>)[] = [
        () => provider.check({ urn, olds: {}, news: {} }),
        () => provider.diff({ id: "x", urn, olds: {}, news: {}, oldInputs: {} }),
        () => provider.create({ urn, properties: {} }, signal),
        () => provider.read({ id: "x", urn }, signal),
        () => provider.update({ id: "x", urn, olds: {}, news: {} }, signal),
        () => provider.delete({ id: "x", urn, properties: {} }, signal),
        () => provider.invoke({ tok: `${name}:index:nothing`, args: {} }),
      ];
      for (const call of calls) {
        await assert.rejects(
          call,
          (error) => (error instanceof ProviderError && error.message.includes("nothing")) || isRefusal(error, name),
        );
      }
    }));

  for (const item of cases) {
    const urn = `urn:pulumi:dev::p::${item.type}::x`;
    const checked = async (provider: Provider, news: PropertyMap, olds: PropertyMap = {}): Promise<PropertyMap> => {
      const response: CheckResponse = await provider.check({ urn, olds, news, type: item.type, name: "x" });
      assert.deepEqual(response.failures ?? [], []);
      return response.inputs ?? {};
    };

    test(`${name}: ${item.type}: a life from check to delete`, () =>
      withProvider(async (provider) => {
        const inputs = await checked(provider, item.inputs);
        assert.deepEqual(await checked(provider, inputs, inputs), inputs, "Check is idempotent");

        const preview = await provider.create({ urn, properties: inputs, preview: true }, signal);
        assert.equal(item.exists?.() ?? false, false, "a preview creates nothing");
        assert.ok(Object.values(preview.properties ?? {}).includes(unknown), "what is made later is unknown in a preview");

        const created = await provider.create({ urn, properties: inputs }, signal);
        assert.ok(created.id, "a created resource has an id");
        assert.notEqual(created.id, unknown);
        assert.equal(item.exists?.() ?? true, true);
        const state = created.properties ?? {};
        for (const key of Object.keys(inputs)) assert.deepEqual(state[key], inputs[key], `${key} is among the outputs`);
        assert.deepEqual(
          Object.keys(preview.properties ?? {}).filter((key) => !(key in state)),
          [],
          "a preview promises no more",
        );

        const olds = provider.handshake ? state : withoutSecretMarks(state);
        const same = await provider.diff({ id: created.id ?? "", urn, olds, news: inputs, oldInputs: inputs });
        assert.equal(same.changes, "DIFF_NONE");
        const read = await provider.read({ id: created.id ?? "", urn, properties: olds, inputs }, signal);
        assert.equal(read.id, created.id);
        assert.deepEqual(read.properties, state);
        assert.deepEqual(read.inputs, inputs);

        if (item.changed) {
          const news = await checked(provider, item.changed, inputs);
          const diff = await provider.diff({ id: created.id ?? "", urn, olds, news, oldInputs: inputs });
          assert.equal(diff.changes, "DIFF_SOME");
          assert.ok((diff.diffs ?? []).length > 0);
          for (const key of diff.replaces ?? []) assert.ok(diff.diffs?.includes(key), `${key} replaces, so it differs`);
          const ignoring = { id: created.id ?? "", urn, olds, news, oldInputs: inputs, ignoreChanges: diff.diffs ?? [] };
          assert.equal((await provider.diff(ignoring)).changes, "DIFF_NONE", "ignored changes are none");
          await provider.update({ id: created.id ?? "", urn, olds, news, oldInputs: inputs, preview: true }, signal);
        }
        const updated = await provider.update({ id: created.id ?? "", urn, olds, news: inputs, oldInputs: inputs }, signal);
        assert.deepEqual(Object.keys(updated.properties ?? {}).sort(), Object.keys(state).sort());
        await provider.delete({ id: created.id ?? "", urn, properties: olds, oldInputs: inputs }, signal);
      }));

    test(`${name}: ${item.type}: unknown inputs are tolerated in a preview`, () =>
      withProvider(async (provider) => {
        const inputs = await checked(provider, Object.fromEntries(Object.keys(item.inputs).map((key) => [key, unknown])));
        const preview = await provider.create({ urn, properties: inputs, preview: true }, signal);
        for (const key of Object.keys(inputs)) assert.equal(preview.properties?.[key], unknown);
        assert.equal(item.exists?.() ?? false, false);
      }));

    test(`${name}: ${item.type}: wrong inputs are refused by Check, without their values`, () =>
      withProvider(async (provider) => {
        const { failures = [] } = await provider.check({ urn, olds: {}, news: item.invalid, type: item.type, name: "x" });
        assert.ok(failures.length > 0);
        for (const failure of failures) {
          assert.ok(failure.reason, "each says what is wrong");
          assert.ok(!failure.reason.includes(planted));
        }
      }));

    test(`${name}: ${item.type}: failures are ProviderErrors that hold no secret`, () =>
      withProvider(async (provider) => {
        if (item.failing) {
          const properties = await checked(provider, item.failing);
          await assert.rejects(provider.create({ urn, properties }, signal), refusedWithoutSecret);
        }
        if (item.importable) {
          await assert.rejects(provider.read({ id: "\u0000", urn, type: item.type }, signal), refusedWithoutSecret);
        }
      }));
  }
}

function isRefusal(error: unknown, name: string): boolean {
  return error instanceof ProviderError && error.message.includes(`pulumi plugin install resource ${name}`);
}

function refusedWithoutSecret(error: unknown): boolean {
  assert.ok(error instanceof ProviderError, String(error));
  assert.ok(!error.message.includes(planted), "the text holds no secret");
  assert.ok(error.message.length > 10);
  return true;
}

/** What the engine sends to a provider that takes no secrets. */
export function withoutSecretMarks(map: PropertyMap): PropertyMap {
  const strip = (value: Value): Value => {
    if (isSecret(value)) return strip(value.value ?? null);
    if (Array.isArray(value)) return value.map(strip);
    return isMap(value) ? withoutSecretMarks(value) : value;
  };
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, strip(value)]));
}

export const plantedSecret = secret(planted);
