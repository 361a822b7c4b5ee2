/** The package `pulumi` itself: stack references, stashes, and the function that brings resource references to life. */
import { randomUUID } from "node:crypto";
import type { ReadStackOutputs } from "./deployment.ts";
import { type CheckResponse, type Provider, ProviderError, type ProviderLog } from "./providers/provider.ts";
import { parseUrn, type ResourceState, type Urn } from "./resource.ts";
import { containsSecret, deepEqual, isUnknown, type PropertyMap, reveal, type Value } from "./values.ts";

export interface BuiltinDeps {
  readStackOutputs: ReadStackOutputs;
  /** The state of a resource that this deployment registered or read so far. */
  lookup(urn: Urn): ResourceState | undefined;
  log(entry: ProviderLog): void;
}

const stackReference = "pulumi:pulumi:StackReference";
const stash = "pulumi:index:Stash";

export function createBuiltinProvider({ readStackOutputs, lookup, log }: BuiltinDeps): Provider {
  async function readReference(name: Value | undefined): Promise<PropertyMap> {
    const plain = name === undefined ? undefined : reveal(name);
    if (typeof plain !== "string" || plain === "") throw new ProviderError("failed", `property "name" must be a string`);
    const outputs = await readStackOutputs(plain);
    if (!outputs) throw new ProviderError("failed", `unknown stack "${plain}"`);
    const secretOutputNames = Object.keys(outputs).filter((key) => containsSecret(outputs[key]));
    return { name: plain, outputs, secretOutputNames: secretOutputNames.sort() };
  }

  function getResource(args: PropertyMap): PropertyMap {
    const urn = typeof args.urn === "string" ? args.urn : "";
    const state = lookup(urn);
    if (!state) throw new ProviderError("failed", `unknown resource ${urn}`);
    return { urn, id: state.id ?? "", provider: state.provider ?? "", state: state.outputs ?? {} };
  }

  return {
    getPluginInfo: async () => ({}),
    checkConfig: async () => ({}),
    diffConfig: async () => ({ changes: "DIFF_NONE" }),
    configure: async () => ({ acceptSecrets: true, supportsPreview: true, acceptResources: true }),
    async check({ urn, news = {} }) {
      if (typeOf(urn) === stash) return checkOne(news, "input", () => true);
      const message =
        'The "pulumi:pulumi:StackReference" resource type is deprecated. ' +
        "Update your SDK or if already up to date raise an issue at https://github.com/pulumi/pulumi/issues.";
      log({ severity: "warning", message, urn });
      return checkOne(news, "name", (name) => typeof name === "string" || isUnknown(name));
    },
    async diff({ urn, news = {}, oldInputs = {} }) {
      const key = typeOf(urn) === stash ? "input" : "name";
      if (deepEqual(news[key], oldInputs[key])) return { changes: "DIFF_NONE" };
      return key === "name" ? { changes: "DIFF_SOME", replaces: ["name"] } : { changes: "DIFF_SOME", diffs: ["input"] };
    },
    async create({ urn, properties = {}, preview }) {
      const id = preview ? "" : randomUUID();
      if (typeOf(urn) !== stash) return { id, properties: await readReference(properties.name) };
      const input = properties.input ?? null;
      return { id, properties: { input, output: input } };
    },
    async update({ urn, olds = {}, news = {} }) {
      if (typeOf(urn) !== stash) throw new ProviderError("failed", `unrecognized resource type '${typeOf(urn)}'`);
      return { properties: { input: news.input ?? null, output: olds.output ?? null } };
    },
    async delete({ urn }) {
      typeOf(urn);
    },
    async read({ urn, id, properties = {}, inputs = {} }) {
      if (typeOf(urn) === stash) {
        if (Object.keys(inputs).length === 0) throw new ProviderError("failed", "stash can not be imported");
        return { id, inputs, properties };
      }
      const extra = Object.keys(inputs).find((key) => key !== "name");
      if (extra !== undefined) throw new ProviderError("failed", `unknown property "${extra}"`);
      if (inputs.name === undefined) throw new ProviderError("failed", "stack reference can not be imported");
      return { id, inputs, properties: await readReference(properties.name ?? inputs.name) };
    },
    async invoke({ tok, args = {} }) {
      switch (tok) {
        case "pulumi:pulumi:getResource":
          return { return: getResource(args) };
        case "pulumi:pulumi:readStackOutputs":
          return { return: await readReference(args.name) };
        default:
          throw new ProviderError(
            "failed",
            `the function ${tok} is not supported by the embedded engine; use the Pulumi CLI for this program`,
          );
      }
    },
    cancel: async () => undefined,
    close: async () => undefined,
  };
}

function typeOf(urn: Urn): string {
  const { type } = parseUrn(urn);
  if (type !== stackReference && type !== stash) throw new ProviderError("failed", `unrecognized resource type '${type}'`);
  return type;
}

function checkOne(news: PropertyMap, key: string, test: (value: Value) => boolean): CheckResponse {
  const fail = (property: string, reason: string): CheckResponse => ({ failures: [{ property, reason }] });
  const extra = Object.keys(news).find((name) => name !== key);
  if (extra !== undefined) return fail(extra, `unknown property "${extra}"`);
  const value = news[key];
  if (value === undefined) return fail(key, `missing required property "${key}"`);
  return test(value) ? { inputs: news } : fail(key, `property "${key}" must be a string`);
}
