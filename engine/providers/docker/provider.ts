/** The docker provider: what `@pulumi/docker` 5.2 asks for, answered without a plug-in process. */
import { isMap, type PropertyMap, unknown, type Value } from "../../values.ts";
import { type Provider, ProviderError, type ProviderLog } from "../provider.ts";
import { connectDaemon, type Daemon } from "./api.ts";
import { checkResource } from "./check.ts";
import { containerType } from "./container.ts";
import { difference } from "./difference.ts";
import { string } from "./fields.ts";
import { imageType } from "./image.ts";
import { networkType } from "./network.ts";
import { planned } from "./plan.ts";
import { checkSettings, daemonOptions, decoded, loginEntries } from "./provider-config.ts";
import { loginSecrets, type RegistryLogins, registryLogins } from "./registry-logins.ts";
import { type DockerType, hiding, type Work } from "./resource.ts";
import { afterCreate, afterRead, afterUpdate, isInPart, metaText, plain, stored, storedInPart } from "./stored.ts";
import { volumeType } from "./volume.ts";

export const dockerVersion = "5.2.0";

export interface DockerDeps {
  /** What build contexts, uploaded files and logs of builds are relative to. */
  programDirectory: string;
  log(entry: ProviderLog): void;
}

const types: { readonly [token: string]: DockerType } = {
  "docker:index/container:Container": containerType,
  "docker:index/network:Network": networkType,
  "docker:index/remoteImage:RemoteImage": imageType,
  "docker:index/volume:Volume": volumeType,
};

/** What Terraform gives each operation where nothing else is said. */
const usualSeconds = 20 * 60;

interface Attempt {
  /** As in "creating". */
  doing: string;
  /** The timeout is in seconds; 0 or undefined: the usual one. */
  request: { urn: string; timeout?: number };
  type: DockerType;
  plan: PropertyMap;
  signal: AbortSignal;
  made?(id: string): void;
}

interface Connection {
  daemon: Daemon;
  logins: RegistryLogins;
  secrets: string[];
}

export function createDockerProvider({ programDirectory, log }: DockerDeps): Provider {
  const stop = new AbortController();
  let settings: PropertyMap = {};
  let connection: Connection | undefined;

  /** Only when it is needed: a preview of new resources works without a daemon. */
  function connect(): Connection {
    if (connection) return connection;
    const options = daemonOptions(settings, process.env);
    const logins = registryLogins(loginEntries(settings), process.env);
    const secrets = [options.tls?.key ?? "", ...loginSecrets(logins)];
    connection = { daemon: connectDaemon(options), logins, secrets };
    return connection;
  }

  function work({ request, type, plan, made = () => {} }: Attempt, signal: AbortSignal): Work {
    const { daemon, logins, secrets } = connect();
    const mask = hiding([...secrets, ...(type.hidden?.(plan) ?? [])]);
    return {
      plan,
      urn: request.urn,
      daemon,
      logins,
      programDirectory,
      signal: AbortSignal.any([signal, stop.signal]),
      log: (entry) => log({ ...entry, message: mask(entry.message) }),
      made,
    };
  }

  /** Within its time; failures in Terraform's form, without what must not be seen. */
  async function attempt<T>(given: Attempt, run: (job: Work) => Promise<T>): Promise<T> {
    const { doing, request, type, plan, signal } = given;
    const what = `${doing} ${request.urn}`;
    const seconds = request.timeout || usualSeconds;
    const late = AbortSignal.timeout(seconds * 1000);
    try {
      return await run(work(given, AbortSignal.any([signal, late])));
    } catch (error) {
      if (signal.aborted || stop.signal.aborted) throw new ProviderError("cancelled", `${what}: it was cancelled`);
      if (late.aborted) {
        const reason = `context deadline exceeded: it took longer than ${seconds} s; customTimeouts gives it more`;
        throw new ProviderError("failed", `${what}: 1 error occurred:\n\t* ${reason}\n\n`);
      }
      const mask = hiding([...(connection?.secrets ?? []), ...(type.hidden?.(plan) ?? [])]);
      const unfinished = error instanceof ProviderError && error.unfinished;
      throw new ProviderError("failed", `${what}: 1 error occurred:\n\t* ${mask(textOf(error))}\n\n`, { unfinished });
    }
  }

  return {
    async getPluginInfo() {
      return { version: dockerVersion };
    },
    async checkConfig({ urn, name, news }) {
      const inputs = news ?? {};
      const failures = checkSettings(plain(inputs), name ?? nameOf(urn));
      return { inputs, ...(failures.length > 0 ? { failures } : {}) };
    },
    async diffConfig() {
      return {};
    },
    async configure({ args }) {
      settings = Object.fromEntries(Object.entries(plain(args)).filter(([, value]) => decoded(value) !== unknown));
      connection?.daemon.close();
      connection = undefined;
      return { supportsPreview: true, supportsAutonamingConfiguration: true };
    },
    async check(request) {
      const type = find(request.type, request.urn);
      const { inputs, failures } = checkResource(type, request, plain(request.news), plain(request.olds));
      const name = request.name ?? nameOf(request.urn);
      for (const [path, reason] of Object.entries(type.refused?.(inputs) ?? {})) {
        failures.push({ reason: `${reason}. Examine values at '${name}.${path}'.` });
      }
      return { inputs, ...(failures.length > 0 ? { failures } : {}) };
    },
    async diff(request) {
      const type = find(request.type, request.urn);
      const [olds, news] = [plain(request.olds), plain(request.news)];
      if (isInPart(olds)) return { changes: "DIFF_SOME", diffs: ["id"], replaces: ["id"], deleteBeforeReplace: true };
      return difference(type, olds, planned(type, news, olds), news, request.ignoreChanges ?? []);
    },
    async create(request, signal) {
      const type = find(request.type, request.urn);
      const plan = planned(type, plain(request.properties));
      if (request.preview) return { properties: promised(type, plan) };
      const goal = withoutUnknown(plan);
      let made: string | undefined;
      const noted = (id: string) => {
        made = id;
      };
      try {
        return await attempt({ doing: "creating", request, type, plan: goal, signal, made: noted }, async (job) => {
          const { id, said } = await type.create(job);
          made = id;
          const found = await type.read({ ...job, id });
          const state = afterCreate(type, plan, { ...said, ...found?.said });
          return { id: found?.id ?? id, properties: stored(type, found?.id ?? id, state) };
        });
      } catch (error) {
        if (made === undefined || !(error instanceof ProviderError) || error.unfinished) throw error;
        const properties = storedInPart(type, made, afterCreate(type, goal, {}));
        throw new ProviderError("partial", error.message, { partial: { id: made, properties, reasons: [error.message] } });
      }
    },
    async read(request, signal) {
      const type = find(request.type, request.urn);
      const olds = plain(request.properties);
      const imported = Object.keys(olds).length === 0;
      const state = withoutUnknown(imported ? planned(type, { name: request.id }) : olds);
      const found = await attempt({ doing: "reading", request, type, plan: state, signal }, (job) =>
        type.read({ ...job, id: request.id }),
      );
      if (!found) return {};
      const properties = stored(type, found.id, afterRead(type, state, found.said));
      const inputs = imported ? importedInputs(type, properties) : plain(request.inputs);
      return { id: found.id, inputs: imported ? inputs : refreshedInputs(type, inputs, olds, properties), properties };
    },
    async update(request, signal) {
      const type = find(request.type, request.urn);
      const [old, news] = [plain(request.olds), plain(request.news)];
      const plan = planned(type, news, old);
      if (request.preview) return { properties: promised(type, plan, old) };
      const goal = withoutUnknown(plan);
      const state = await attempt({ doing: "updating", request, type, plan: goal, signal }, async (job) => {
        const readAfter = await type.update?.({ ...job, id: request.id, old });
        const updated = afterUpdate(type, old, goal);
        if (!readAfter) return updated;
        const found = await type.read({ ...job, id: request.id });
        return found ? { ...updated, ...found.said } : updated;
      });
      return { properties: stored(type, request.id, state) };
    },
    async delete(request, signal) {
      const type = find(request.type, request.urn);
      const plan = plain(request.properties);
      await attempt({ doing: "deleting", request, type, plan, signal }, (job) => type.delete({ ...job, id: request.id }));
    },
    async undoCreate(request, signal) {
      const type = find(request.type, request.urn);
      const { undoCreate } = type;
      if (!undoCreate) return;
      const plan = withoutUnknown(planned(type, plain(request.properties)));
      await attempt({ doing: "undoing the creation of", request, type, plan, signal }, (job) =>
        undoCreate({ ...job, known: request.known }),
      );
    },
    async invoke({ tok }) {
      throw notOffered(tok, "function");
    },
    async cancel() {
      stop.abort();
    },
    async close() {
      stop.abort();
      connection?.daemon.close();
    },
  };
}

function find(type: string | undefined, urn: string): DockerType {
  const token = type ?? urn.split("::").at(-2)?.split("$").at(-1) ?? "";
  const found = types[token];
  if (!found) throw notOffered(token, "resource type");
  return found;
}

function notOffered(token: string, what: string): ProviderError {
  const offered = Object.keys(types).map((name) => name.slice(name.lastIndexOf(":") + 1));
  return new ProviderError(
    "unavailable",
    `The embedded docker provider offers ${offered.join(", ")}, but not the ${what} ${token}. ` +
      `Install the plug-in that has it: pulumi plugin install resource docker ${dockerVersion}`,
  );
}

function nameOf(urn: string): string {
  return urn.slice(urn.lastIndexOf("::") + 2);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What a preview says: the plan, the id unknown where there is none yet. */
function promised(type: DockerType, plan: PropertyMap, old?: PropertyMap): PropertyMap {
  const id = old ? (old.id ?? unknown) : unknown;
  return type.meta.timeouts && !old ? { ...plan, id, __meta: metaText(type, portAddresses(plan)) } : { ...plan, id };
}

function portAddresses(plan: PropertyMap): PropertyMap {
  const ports = Array.isArray(plan.ports) ? plan.ports : [];
  return Object.fromEntries(ports.map((port, index) => [`ports.${index}.ip`, isMap(port) ? string(port.ip) : ""]));
}

/** What is decided by the daemon is left to it. */
function withoutUnknown(map: PropertyMap): PropertyMap {
  const settle = (value: Value): Value => {
    if (value === unknown) return null;
    if (Array.isArray(value)) return value.map(settle);
    return isMap(value) ? withoutUnknown(value) : value;
  };
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, settle(value)]));
}

/** What the program gave, with the daemon's values where they are others now than in the state before. */
function refreshedInputs(type: DockerType, inputs: PropertyMap, olds: PropertyMap, now: PropertyMap): PropertyMap {
  const out: PropertyMap = { ...inputs };
  for (const name of Object.keys(inputs)) {
    const field = type.fields[name];
    if (!field || field.of || JSON.stringify(olds[name]) === JSON.stringify(now[name])) continue;
    out[name] = now[name] ?? null;
  }
  return out;
}

/** What a program would have to say for what is there: that which is not zero, not a default, and not the daemon's. */
function importedInputs(type: DockerType, state: PropertyMap): PropertyMap {
  const inputs: PropertyMap = { __defaults: [] };
  for (const [name, field] of Object.entries(type.fields)) {
    const value = state[name] ?? null;
    const empty = value === null || value === "" || value === 0 || value === false;
    if (field.readOnly || empty || (Array.isArray(value) && value.length === 0) || value === field.default) continue;
    if (field.computed && name !== "name") continue;
    inputs[name] = value;
  }
  return inputs;
}
