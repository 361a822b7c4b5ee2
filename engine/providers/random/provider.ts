/** The random provider: what `@pulumi/random` 4.21 asks for, answered without a plug-in process. */
import { type PropertyMap, unknown } from "../../values.ts";
import { type Provider, ProviderError } from "../provider.ts";
import { changes, checkFields, planned } from "./fields.ts";
import { type RandomResource, resources } from "./resources.ts";
import { plain, stored, upgraded } from "./state.ts";

export const randomVersion = "4.21.2";

export function createRandomProvider(): Provider {
  return {
    async getPluginInfo() {
      return { version: randomVersion };
    },
    async checkConfig({ news }) {
      return { inputs: news ?? {} };
    },
    async diffConfig() {
      return {};
    },
    async configure() {
      return { acceptResources: true, supportsAutonamingConfiguration: true, supportsPreview: true };
    },
    async check(request) {
      const type = find(request.type, request.urn);
      const inputs = request.news ?? {};
      const values = plain(inputs);
      const name = request.name ?? request.urn.slice(request.urn.lastIndexOf("::") + 2);
      const failures = [...checkFields(type.fields, values, name), ...(type.check?.(values, name) ?? [])];
      return { inputs, ...(failures.length > 0 ? { failures } : {}) };
    },
    async diff(request) {
      const type = find(request.type, request.urn);
      const state = upgraded(type, request.olds);
      const inputs = plain(request.news);
      for (const name of request.ignoreChanges ?? []) {
        if (name in state) inputs[name] = state[name] ?? null;
        else delete inputs[name];
      }
      const { changed, replaces } = changes(type.fields, state, plan(type, inputs));
      if (changed.length === 0) return { changes: "DIFF_NONE" };
      return { changes: "DIFF_SOME", diffs: changed, ...(replaces.length > 0 ? { replaces } : {}) };
    },
    async create(request) {
      const type = find(request.type, request.urn);
      const goal = plan(type, plain(request.properties));
      if (request.preview) {
        return { properties: { ...goal, ...Object.fromEntries(type.computed.map((name) => [name, unknown])) } };
      }
      const state = { ...goal, ...attempt(() => type.generate(goal)) };
      return { id: type.id(state), properties: stored(type, state) };
    },
    async read(request) {
      const type = find(request.type, request.urn);
      if (Object.keys(request.properties ?? {}).length > 0) {
        const state = upgraded(type, request.properties);
        const inputs = Object.keys(plain(request.inputs)).filter((name) => name in state);
        return {
          id: type.id(state),
          inputs: Object.fromEntries(inputs.map((name) => [name, state[name] ?? null])),
          properties: stored(type, state),
        };
      }
      const { fromId } = type;
      if (!fromId) {
        const what = request.type ?? request.urn;
        throw new ProviderError("failed", `Resource Import Not Implemented: ${what} cannot be imported or read by its id.`);
      }
      const state = attempt(() => fromId(request.id));
      return { id: type.id(state), inputs: importedInputs(type, state), properties: stored(type, state) };
    },
    async update(request) {
      const type = find(request.type, request.urn);
      const state = upgraded(type, request.olds);
      const made = Object.fromEntries(type.computed.filter((name) => name in state).map((name) => [name, state[name] ?? null]));
      const next = { ...plan(type, plain(request.news)), ...made };
      return { properties: stored(type, next) };
    },
    async delete(request) {
      find(request.type, request.urn);
    },
    // Outside the state there is nothing of it.
    async undoCreate() {},
    async invoke({ tok }) {
      throw new ProviderError("failed", `random has no function ${tok}.`);
    },
    async cancel() {},
    async close() {},
  };
}

function find(type: string | undefined, urn: string): RandomResource {
  const token = type ?? urn.split("::").at(-2)?.split("$").at(-1) ?? "";
  const found = resources[token];
  if (!found) {
    throw new ProviderError(
      "unavailable",
      `The embedded random provider has no resource type ${token}. Install the plug-in that has it: pulumi plugin install resource random VERSION`,
    );
  }
  return found;
}

function plan(type: RandomResource, inputs: PropertyMap): PropertyMap {
  const goal = planned(type.fields, inputs);
  return attempt(() => type.plan?.(goal, inputs) ?? goal);
}

/** What a program would have to say for an imported state: required fields, and others that are not zero. */
function importedInputs(type: RandomResource, state: PropertyMap): PropertyMap {
  const inputs: PropertyMap = {};
  for (const [name, field] of Object.entries(type.fields)) {
    const value = state[name] ?? null;
    const zero = value === null || value === 0 || value === false || value === "";
    if (field.required !== undefined || !zero) inputs[name] = value;
  }
  return inputs;
}

function attempt<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof ProviderError) throw error;
    throw new ProviderError("failed", error instanceof Error ? error.message : String(error));
  }
}
