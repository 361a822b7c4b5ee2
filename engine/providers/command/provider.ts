/** The command provider: the resources and functions of `@pulumi/command`, without a plug-in process. */
import { unknown } from "../../values.ts";
import { type Provider, ProviderError } from "../provider.ts";
import { bare, checkedInputs, checkInputs, commandInputs, missingInputs, runInputs } from "./inputs.ts";
import { commandKind, diffResource, type ResourceKind } from "./kind.ts";
import { type LocalDeps, restoredFiles, runLocal } from "./local.ts";
import { createRemoteKinds } from "./remote/kinds.ts";
import { createCommandRunner } from "./runner.ts";

export const commandVersion = "1.2.1";

const frameworkVersion = { "__pulumi-go-provider-version": "v1.5.0" };

export function createCommandProvider(deps: LocalDeps): Provider {
  const stop = new AbortController();
  const runner = createCommandRunner(deps.guardian);
  const remote = createRemoteKinds(deps);
  const stoppable = (signal: AbortSignal) => AbortSignal.any([signal, stop.signal]);
  const local = commandKind({
    inputNames: Object.keys(commandInputs),
    check(news) {
      const failures = checkInputs(commandInputs, news, "local.CommandInputs");
      return failures.length > 0 ? { inputs: news, failures } : { inputs: checkedInputs(news) };
    },
    async read(request) {
      const properties = { ...request.properties, ...(await restoredFiles(request.properties ?? {}, deps.programDirectory)) };
      return { id: request.id, inputs: request.inputs ?? {}, properties };
    },
    run: (run, signal) => runLocal({ ...run, signal }, deps, runner),
  });
  const kinds: { [token: string]: ResourceKind } = { "command:local:Command": local, ...remote.kinds };
  const kindOf = ({ type, urn }: { type?: string; urn: string }): ResourceKind => {
    const token = type ?? urn.split("::").at(-2)?.split("$").at(-1) ?? "";
    const kind = kinds[token];
    if (!kind) throw notOffered(token, "resource type", Object.keys(kinds));
    return kind;
  };

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
      return kindOf(request).check(request.news ?? {});
    },
    async diff(request) {
      return diffResource(kindOf(request), request);
    },
    async create(request, signal) {
      return await kindOf(request).create(request, stoppable(signal));
    },
    async read(request) {
      return await kindOf(request).read(request);
    },
    async update(request, signal) {
      return await kindOf(request).update(request, stoppable(signal));
    },
    async delete(request, signal) {
      await kindOf(request).delete(request, stoppable(signal));
    },
    // Where it is wanted, it is run again from its beginning.
    async undoCreate({ again, ...request }, signal) {
      if (!again) await kindOf(request).delete({ ...request, id: "" }, stoppable(signal));
    },
    async invoke(request) {
      if (request.tok !== "command:local:run") throw notOffered(request.tok, "function", Object.keys(kinds));
      const args = request.args ?? {};
      const failures = [
        ...checkInputs(runInputs, args, "local.RunInputs"),
        ...missingInputs(["command"], args, "local.RunInputs"),
      ];
      if (failures.length > 0) return { failures };
      const { command = null } = args;
      if (bare(command) === unknown) return { return: { ...args, stdout: unknown, stderr: unknown } };
      const outputs = await runLocal({ command, inputs: args, previous: {}, signal: stop.signal }, deps, runner);
      return { return: { ...args, ...outputs } };
    },
    async cancel() {
      stop.abort();
    },
    async close() {
      stop.abort();
      runner.close();
      remote.close();
    },
  };
}

function notOffered(token: string, what: string, offered: string[]): ProviderError {
  return new ProviderError(
    "unavailable",
    `The embedded command provider offers ${offered.join(", ")} and command:local:run, but not the ${what} ${token}. ` +
      `Install the plug-in that has it: pulumi plugin install resource command ${commandVersion}`,
  );
}
