/** The command provider: local.Command and local.run of `@pulumi/command`, without a plug-in process. */
import { randomBytes } from "node:crypto";
import { diffMaps } from "../../property-diff.ts";
import { type PropertyMap, unknown, type Value } from "../../values.ts";
import { type PropertyDiff, type Provider, ProviderError } from "../provider.ts";
import { bare, checkedInputs, checkInputs, commandInputs, runInputs } from "./inputs.ts";
import { type LocalDeps, pick, restoredFiles, runLocal } from "./local.ts";
import { createCommandRunner } from "./runner.ts";

export const commandVersion = "1.2.1";

const frameworkVersion = { "__pulumi-go-provider-version": "v1.5.0" };
const inputNames = Object.keys(commandInputs);

export function createCommandProvider(deps: LocalDeps): Provider {
  const stop = new AbortController();
  const runner = createCommandRunner(deps.guardian);
  const run = (
    inputs: PropertyMap,
    command: Value,
    request: { urn?: string; timeout?: number },
    signal: AbortSignal,
    previous: PropertyMap,
  ) =>
    runLocal(
      {
        command,
        inputs: pick(inputs, inputNames),
        previous,
        urn: request.urn,
        timeoutSeconds: request.timeout,
        signal: AbortSignal.any([signal, stop.signal]),
      },
      deps,
      runner,
    );

  return {
    async handshake() {
      return { acceptSecrets: true, acceptResources: true, acceptOutputs: true, acceptsByteString: true };
    },
    async getPluginInfo() {
      return { version: commandVersion };
    },
    async checkConfig({ news }) {
      return { inputs: { ...news, ...frameworkVersion } };
    },
    async diffConfig() {
      throw new ProviderError("unimplemented", "DiffConfig is not implemented");
    },
    async configure() {
      return { acceptSecrets: true, acceptResources: true, acceptOutputs: true, supportsPreview: true };
    },
    async check(request) {
      requireCommand(request.type, request.urn);
      const news = request.news ?? {};
      const failures = checkInputs(commandInputs, news, "local.CommandInputs");
      return failures.length > 0 ? { inputs: news, failures } : { inputs: checkedInputs(news) };
    },
    async diff(request) {
      requireCommand(request.type, request.urn);
      const news = Object.fromEntries(
        Object.entries(request.news ?? {}).filter(([name]) => name !== "version" && !name.startsWith("__")),
      );
      for (const name of request.ignoreChanges ?? []) {
        const old = request.olds?.[name];
        if (old !== undefined) news[name] = old;
      }
      const difference = diffMaps(request.oldInputs ?? pick(request.olds ?? {}, inputNames), news);
      if (!difference) return { changes: "DIFF_NONE", hasDetailedDiff: true };
      // A change of one trigger is an update here; the SDK's own `replaceOnChanges` makes it a replacement.
      const replaces: string[] = Object.keys(difference.detailedDiff).filter((path) => path === "triggers");
      const detailedDiff: { [path: string]: PropertyDiff } = {};
      for (const [path, { kind }] of Object.entries(difference.detailedDiff)) {
        const plain = kind === "DELETE" ? "DELETE" : kind === "UPDATE" ? "UPDATE" : "ADD";
        if (replaces.includes(path)) detailedDiff[path] = { kind: `${plain}_REPLACE` };
        else detailedDiff[path] = plain === "ADD" ? {} : { kind: plain };
      }
      return {
        changes: "DIFF_SOME",
        diffs: difference.changedKeys,
        detailedDiff,
        hasDetailedDiff: true,
        ...(replaces.length > 0 ? { replaces } : {}),
      };
    },
    async create(request, signal) {
      requireCommand(request.type, request.urn);
      const name = request.name ?? request.urn.slice(request.urn.lastIndexOf("::") + 2);
      const id = name + randomBytes(4).toString("hex");
      const inputs = request.properties ?? {};
      if (request.preview) return { id, properties: { ...inputs, stdout: unknown, stderr: unknown } };
      const command = inputs.create ?? null;
      if (command === null) return { id, properties: { ...inputs, stdout: "", stderr: "" } };
      return { id, properties: { ...inputs, ...(await run(inputs, command, request, signal, {})) } };
    },
    async read(request) {
      requireCommand(request.type, request.urn);
      const properties = { ...request.properties, ...(await restoredFiles(request.properties ?? {}, deps.programDirectory)) };
      return { id: request.id, inputs: request.inputs ?? {}, properties };
    },
    async update(request, signal) {
      requireCommand(request.type, request.urn);
      const inputs = request.news ?? {};
      const previous = pick(request.olds ?? {}, ["stdout", "stderr", "assets", "archive"]);
      if (request.preview) return { properties: { ...inputs, stdout: unknown, stderr: unknown } };
      const command = inputs.update ?? inputs.create ?? null;
      if (command === null) return { properties: { ...inputs, ...previous } };
      return { properties: { ...inputs, ...(await run(inputs, command, request, signal, previous)) } };
    },
    async delete(request, signal) {
      requireCommand(request.type, request.urn);
      const properties = request.properties ?? {};
      const command = properties.delete ?? null;
      if (command !== null) await run(properties, command, request, signal, pick(properties, ["stdout", "stderr"]));
    },
    async invoke(request) {
      if (request.tok !== "command:local:run") throw notOffered(request.tok, "function");
      const args = request.args ?? {};
      const failures = checkInputs(runInputs, args, "local.RunInputs");
      if (args.command === undefined) {
        failures.push({ property: "command", reason: "Missing required field 'command' on 'local.RunInputs'" });
      }
      if (failures.length > 0) return { failures };
      if (bare(args.command ?? null) === unknown) return { return: { ...args, stdout: unknown, stderr: unknown } };
      const outputs = await run(args, args.command ?? "", {}, stop.signal, {});
      return { return: { ...args, ...outputs } };
    },
    async cancel() {
      stop.abort();
    },
    async close() {
      stop.abort();
      runner.close();
    },
  };
}

function requireCommand(type: string | undefined, urn: string): void {
  const token = type ?? urn.split("::").at(-2)?.split("$").at(-1) ?? "";
  if (token !== "command:local:Command") throw notOffered(token, "resource type");
}

function notOffered(token: string, what: string): ProviderError {
  return new ProviderError(
    "unavailable",
    `The embedded command provider offers command:local:Command and command:local:run, but not the ${what} ${token}. ` +
      `Install the plug-in that has it: pulumi plugin install resource command ${commandVersion}`,
  );
}
