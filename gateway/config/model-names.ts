// Names of models in a config: which ones a provider offers, and which can be known to lead nowhere.
import type { Fault, Path } from "./faults.ts";
import { nearest } from "./nearest.ts";
import { type Config, pluginId } from "./schema.ts";

/** "vllm-local/Qwen3.5-35B" for Qwen/Qwen3.5-35B-A3B-FP8 of vllm-local: the last part of the id, or its beginning up to a separator. */
export function isShortFor(name: string, providerId: string, model: string): boolean {
  const prefix = `${providerId}/`;
  const wanted = (name.startsWith(prefix) ? name.slice(prefix.length) : name).toLowerCase();
  if (wanted.length < 2) return false;
  const id = model.toLowerCase();
  const last = id.slice(id.lastIndexOf("/") + 1);
  if (last === wanted || id.endsWith(`/${wanted}`)) return true;
  const start = id.startsWith(wanted) ? id : last.startsWith(wanted) ? last : undefined;
  return start !== undefined && /^[-:@_.]/.test(start.slice(wanted.length));
}

export function checkModelNames(config: Config): Fault[] {
  const names = namesOf(config);
  const { pools, fallbacks, hedge } = config.plugins.entries[pluginId].config.routing;
  const routing = ["plugins", "entries", pluginId, "config", "routing"];
  const faults: Fault[] = [];
  const check = (path: Path, name: string, own: boolean): void => {
    // What providers do not list here they may serve all the same; elsewhere this file may name what another program knows.
    if (names.leads(name) || !(names.isOfListed(name) || (own && names.allListed))) return;
    faults.push({ path, problem: `${JSON.stringify(name)} is no model of this config`, fix: names.fixFor(name) });
  };
  for (const [key, list] of Object.entries(fallbacks)) {
    check([...routing, "fallbacks", key], key, true);
    for (const [index, name] of list.entries()) check([...routing, "fallbacks", key, index], name, true);
  }
  for (const key of Object.keys(hedge?.models ?? {})) check([...routing, "hedge", "models", key], key, true);
  for (const [id, { members }] of Object.entries(pools)) {
    for (const [index, member] of members.entries()) {
      const path = [...routing, "pools", id, "members", index];
      const name = typeof member === "string" ? member : member.model;
      if (names.providers.some((provider) => name.startsWith(`${provider}/`) && name.length > provider.length + 1))
        check(path, name, true);
      // Members are said in full; a typo would be a pool that silently has one upstream less.
      else
        faults.push({
          path,
          problem: `${JSON.stringify(name)} does not begin with a provider of models.providers`,
          fix: names.inFull,
        });
    }
  }
  const model = config.agents.defaults?.model;
  if (model === undefined) return faults;
  const main = ["agents", "defaults", "model"];
  if (typeof model === "string") check(main, model, false);
  else {
    check([...main, "primary"], model.primary, false);
    for (const [index, name] of model.fallbacks.entries()) check([...main, "fallbacks", index], name, false);
  }
  return faults;
}

function namesOf(config: Config) {
  const providers = Object.keys(config.models.providers);
  const listed = Object.entries(config.models.providers).flatMap(([id, provider]) =>
    ("models" in provider ? provider.models : []).map((model) => ({ provider: id, model: model.id })),
  );
  const { pools } = config.plugins.entries[pluginId].config.routing;
  const aliases = Object.values(config.agents.defaults?.models ?? {}).flatMap(({ alias }) => alias ?? []);
  const full = listed.map(({ provider, model }) => `${provider}/${model}`);
  const known = new Set([...full, ...listed.map(({ model }) => model), ...Object.keys(pools), ...aliases]);
  const hasList = (id: string): boolean => listed.some(({ provider }) => provider === id);
  return {
    providers,
    allListed: providers.length > 0 && providers.every(hasList),
    leads: (name: string): boolean =>
      known.has(name) || listed.some(({ provider, model }) => isShortFor(name, provider, model)),
    /** It names a provider whose models are listed. */
    isOfListed: (name: string): boolean =>
      providers.some((id) => name.startsWith(`${id}/`)) && providers.every((id) => !name.startsWith(`${id}/`) || hasList(id)),
    inFull: `Write "provider/model"${providers.length > 0 ? `; there is ${providers.join(", ")}` : ""}.`,
    fixFor(name: string): string {
      const near = nearest(name, [...known]);
      const some = [...Object.keys(pools), ...full].slice(0, 5).join(", ");
      return near === undefined
        ? `Name one that there is (${some}), or list it in its provider's models.`
        : `Did you mean ${JSON.stringify(near)}? Else list it in its provider's models.`;
    },
  };
}
