/** The provider `pulumi`, which is part of every engine: references to other stacks, a value put aside, look-ups by URN. */
import { randomUUID } from "node:crypto";
import type { ReadStackOutputs } from "./deployment.ts";
import { containsSecrets, deepEqual } from "./properties.ts";
import { type CheckResponse, type DiffResponse, type Provider, ProviderError } from "./providers/provider.ts";
import { parseUrn, type ResourceState, type Urn } from "./resource.ts";
import { type PropertyMap, unknown } from "./values.ts";

export const builtinPackage = "pulumi";
const stackReferenceType = "pulumi:pulumi:StackReference";
const stashType = "pulumi:index:Stash";

export interface BuiltinDeps {
  readStackOutputs: ReadStackOutputs;
  /** The state of a resource of this deployment. */
  lookUp(urn: Urn): ResourceState | undefined;
}

export function createBuiltinProvider({ readStackOutputs, lookUp }: BuiltinDeps): Provider {
  async function readReference(inputs: PropertyMap): Promise<PropertyMap> {
    const { name } = inputs;
    if (typeof name !== "string") throw new ProviderError("invalid", 'property "name" must be a string');
    const outputs = await readStackOutputs(name);
    if (!outputs) throw new ProviderError("failed", `unknown stack "${name}"`);
    const secretOutputNames = Object.keys(outputs).filter((key) => containsSecrets(outputs[key] ?? null));
    return { name, outputs, secretOutputNames: secretOutputNames.sort() };
  }

  function check(type: string, news: PropertyMap): CheckResponse {
    const property = type === stashType ? "input" : "name";
    const fail = (at: string, reason: string) => ({ failures: [{ property: at, reason }] });
    for (const key of Object.keys(news)) if (key !== property) return fail(key, `unknown property "${key}"`);
    const value = news[property];
    if (value === undefined) return fail(property, `missing required property "${property}"`);
    if (type === stackReferenceType && typeof value !== "string") return fail(property, 'property "name" must be a string');
    return { inputs: news };
  }

  return {
    handshake: async () => ({ acceptSecrets: true, acceptResources: true }),
    getPluginInfo: async () => ({}),
    checkConfig: async () => ({}),
    diffConfig: async () => ({ changes: "DIFF_NONE" }),
    configure: async () => ({ acceptSecrets: true, acceptResources: true, supportsPreview: true }),
    check: async ({ urn, news = {} }) => check(typeOf(urn), news),
    async diff({ urn, oldInputs = {}, news = {} }): Promise<DiffResponse> {
      const property = typeOf(urn) === stashType ? "input" : "name";
      if (deepEqual(oldInputs[property], news[property])) return { changes: "DIFF_NONE" };
      return { changes: "DIFF_SOME", ...(property === "name" ? { replaces: ["name"] } : { diffs: ["input"] }) };
    },
    async create({ urn, properties = {}, preview }) {
      const id = preview ? {} : { id: randomUUID() };
      if (typeOf(urn) === stackReferenceType) return { ...id, properties: await readReference(properties) };
      const { input = null } = properties;
      return { ...id, properties: { input, output: input } };
    },
    async update({ urn, news = {}, olds = {} }) {
      if (typeOf(urn) !== stashType) throw new ProviderError("failed", `unrecognized resource type '${typeOf(urn)}'`);
      return { properties: { input: news.input ?? null, output: olds.output ?? null } };
    },
    async read({ urn, id, inputs = {}, properties = {} }) {
      if (typeOf(urn) !== stackReferenceType) return { id, inputs, properties };
      if (inputs.name === undefined) throw new ProviderError("failed", "stack reference can not be imported");
      return { id, inputs, properties: await readReference(properties) };
    },
    delete: async () => {},
    async invoke({ tok, args = {} }) {
      if (tok === "pulumi:pulumi:readStackOutputs") return { return: await readReference(args) };
      if (tok !== "pulumi:pulumi:getResource") throw new ProviderError("failed", `unrecognized function name: '${tok}'`);
      const { urn } = args;
      const state = typeof urn === "string" ? lookUp(urn) : undefined;
      if (!state) throw new ProviderError("failed", `unknown resource ${String(urn)}`);
      // Whoever asks in a preview for what is still to be created gets an unknown id.
      const id = state.id ? state.id : state.custom ? unknown : "";
      return { return: { urn: state.urn, id, state: state.outputs ?? {} } };
    },
    cancel: async () => {},
    close: async () => {},
  };
}

/** The type of a resource of this provider. */
function typeOf(urn: Urn): string {
  const { type } = parseUrn(urn);
  if (type === stackReferenceType || type === stashType) return type;
  throw new ProviderError("failed", `unrecognized resource type '${type}'`);
}
