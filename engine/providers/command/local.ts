/** Runs the commands of local.Command and local.run with their inputs, and makes their outputs. */
import { resolve } from "node:path";
import { quote } from "../../go-quote.ts";
import type { Guardian } from "../../guardian.ts";
import { isMap, type PropertyMap, type Value } from "../../values.ts";
import { ProviderError, type ProviderLog } from "../provider.ts";
import { collectArchive, collectAssets, type Folder, withPaths } from "./files.ts";
import { bare, secretTexts } from "./inputs.ts";
import { pick } from "./kind.ts";
import { masker } from "./messages.ts";
import type { CommandRunner } from "./runner.ts";

export interface LocalDeps {
  /** What relative paths are relative to: where the program runs. */
  programDirectory: string;
  guardian: Guardian;
  log(entry: ProviderLog): void;
}

export interface LocalRun {
  command: Value;
  inputs: PropertyMap;
  /** Outputs of the last run; empty before the first. */
  previous: PropertyMap;
  urn?: string;
  timeoutSeconds?: number;
  signal: AbortSignal;
}

/** The new stdout, stderr, assets and archive. Throws ProviderError where the command fails; the text holds no secret input. */
export async function runLocal(run: LocalRun, deps: LocalDeps, runner: CommandRunner): Promise<PropertyMap> {
  const given = bare(run.inputs);
  const inputs = isMap(given) ? given : {};
  const command = text(bare(run.command));
  const directory = text(inputs.dir);
  const logging = inputs.logging ?? "stdoutAndStderr";
  const mask = masker([...secretTexts(run.inputs), ...secretTexts(run.previous)], secretTexts(run.command));
  const interpreter = strings(inputs.interpreter);
  const result = await runner.run(
    {
      command,
      interpreter: interpreter.length > 0 ? interpreter : process.platform === "win32" ? ["cmd", "/C"] : ["/bin/sh", "-c"],
      directory: resolve(deps.programDirectory, directory),
      givenDirectory: directory || deps.programDirectory,
      environment: environment(inputs, run.previous),
      stdin: text(inputs.stdin),
      ...(run.timeoutSeconds ? { timeoutMs: run.timeoutSeconds * 1000 } : {}),
      onLine(stream, line) {
        if (logging !== stream && logging !== "stdoutAndStderr") return;
        deps.log({ severity: "info", message: mask(line), ephemeral: true, ...(run.urn ? { urn: run.urn } : {}) });
      },
    },
    run.signal,
  );
  if (result.timedOut) {
    const message = `The command was killed: it ran longer than its timeout of ${run.timeoutSeconds} seconds.`;
    deps.log({ severity: "warning", message, ...(run.urn ? { urn: run.urn } : {}) });
  }
  if (result.failure !== undefined) {
    const shown = secretTexts(run.command).length > 0 ? "[secret]" : quote(mask(command));
    const code = run.signal.aborted ? "cancelled" : "failed";
    throw new ProviderError(code, `${result.failure}: running ${shown}:\n${mask(result.combined)}`);
  }
  const out: PropertyMap = { ...pick(run.previous, ["assets", "archive"]) };
  const folder = folderOf(directory, deps.programDirectory);
  if (Array.isArray(inputs.assetPaths)) out.assets = await collectAssets(folder, strings(inputs.assetPaths));
  if (Array.isArray(inputs.archivePaths)) out.archive = await collectArchive(folder, strings(inputs.archivePaths));
  out.stdout = result.stdout.replace(/\n$/, "");
  out.stderr = result.stderr.replace(/\n$/, "");
  return out;
}

/**
 * Assets and archive of a state with their files again. The engine sends them to Read as hashes only, and the official
 * provider answers with those, which makes the SDK fail in the next program ("Invalid asset encountered").
 */
export async function restoredFiles(state: PropertyMap, programDirectory: string): Promise<PropertyMap> {
  const folder = folderOf(text(bare(state.dir ?? null)), programDirectory);
  const out: PropertyMap = {};
  if (isMap(state.assets)) out.assets = withPaths(state.assets, folder);
  if (isMap(state.archive)) {
    const paths = strings(bare(state.archivePaths ?? null));
    const now = await collectArchive(folder, paths).catch(() => undefined);
    out.archive = now && now.hash === state.archive.hash ? now : { assets: {}, ...state.archive };
  }
  return out;
}

function folderOf(directory: string, programDirectory: string): Folder {
  return { absolute: resolve(programDirectory, directory), given: directory || programDirectory };
}

function environment(inputs: PropertyMap, previous: PropertyMap): { [name: string]: string } {
  const out: { [name: string]: string } = {};
  if (isMap(inputs.environment)) for (const [name, value] of Object.entries(inputs.environment)) out[name] = text(value);
  if (inputs.addPreviousOutputInEnv !== false) {
    const [stdout, stderr] = [text(bare(previous.stdout ?? null)), text(bare(previous.stderr ?? null))];
    if (stdout !== "") out.PULUMI_COMMAND_STDOUT = stdout;
    if (stderr !== "") out.PULUMI_COMMAND_STDERR = stderr;
  }
  return out;
}

function strings(value: Value | undefined): string[] {
  return Array.isArray(value) ? value.map(text) : [];
}

function text(value: Value | undefined): string {
  return typeof value === "string" ? value : "";
}
