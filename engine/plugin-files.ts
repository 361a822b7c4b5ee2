/** Finds installed plug-ins where the Pulumi CLI puts them: `~/.pulumi/plugins/resource-NAME-vVERSION/pulumi-resource-NAME`. */
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { ProviderError } from "./providers/provider.ts";

export interface InstalledPlugin {
  name: string;
  /** Absent for one that was found on the PATH. */
  version?: string;
  directory: string;
  /** The program to start, or the language that runs the folder's source. */
  start: { executable: string } | { runtime: "nodejs"; nodeArguments: string[] };
}

type Environment = { [name: string]: string | undefined };

function pluginsDirectory(env: Environment): string {
  return join(env.PULUMI_HOME || join(env.HOME || homedir(), ".pulumi"), "plugins");
}

/**
 * The plug-in of exactly this version, or the newest where none is asked for. As with the CLI, a plug-in on the PATH goes
 * before (for people who develop one), unless PULUMI_IGNORE_AMBIENT_PLUGINS is set.
 */
export function findPlugin(
  name: string,
  version: string | undefined,
  env: Environment = process.env,
): InstalledPlugin | undefined {
  const ambient = findAmbient(name, env);
  if (ambient) return { name, directory: ambient, start: { executable: join(ambient, binaryName(name)) } };
  const installed = installedVersions(name, version, env);
  const best = installed.sort((a, b) => compareVersions(a.version, b.version)).at(-1);
  return best && describe(name, best.version, best.directory);
}

/** Whether the Pulumi CLI finds it: compiled, or as source in whatever language. */
export function isInstalled(name: string, version: string | undefined, env: Environment): boolean {
  const whole = ({ directory }: { directory: string }): boolean =>
    isExecutable(join(directory, binaryName(name))) || existsSync(join(directory, sourceFile));
  return findAmbient(name, env) !== undefined || installedVersions(name, version, env).some(whole);
}

const sourceFile = "PulumiPlugin.yaml";

function binaryName(name: string): string {
  return `pulumi-resource-${name}${process.platform === "win32" ? ".exe" : ""}`;
}

/** The folder on the PATH. */
function findAmbient(name: string, env: Environment): string | undefined {
  if (/^(1|true)$/i.test(env.PULUMI_IGNORE_AMBIENT_PLUGINS ?? "")) return undefined;
  const folders = (env.PATH ?? "").split(delimiter).filter(Boolean);
  return folders.find((directory) => isExecutable(join(directory, binaryName(name))));
}

function installedVersions(
  name: string,
  wanted: string | undefined,
  env: Environment,
): { version: string; directory: string }[] {
  const folder = pluginsDirectory(env);
  if (!existsSync(folder)) return [];
  const prefix = `resource-${name}-v`;
  return readdirSync(folder)
    .filter(
      (entry) => entry.startsWith(prefix) && /^\d/.test(entry.slice(prefix.length)) && !/\.(tmp\d+|partial|lock)$/.test(entry),
    )
    .map((entry) => ({ version: entry.slice(prefix.length), directory: join(folder, entry) }))
    .filter(({ version }) => wanted === undefined || sameVersion(version, wanted))
    .filter(({ directory }) => statSync(directory).isDirectory() && !existsSync(`${directory}.partial`));
}

const projectSchema = z.object({
  runtime: z.union([
    z.string().transform((name) => ({ name, options: undefined })),
    z.object({ name: z.string(), options: z.object({ nodeargs: z.string().optional() }).optional() }),
  ]),
});

function describe(name: string, version: string, directory: string): InstalledPlugin {
  const executable = join(directory, binaryName(name));
  if (isExecutable(executable)) return { name, version, directory, start: { executable } };
  const file = join(directory, sourceFile);
  if (!existsSync(file)) {
    throw new ProviderError(
      "unavailable",
      `The plug-in in ${directory} has neither pulumi-resource-${name} nor PulumiPlugin.yaml.${again(name, version)}`,
    );
  }
  const project = projectSchema.safeParse(parseYaml(file));
  if (!project.success) {
    throw new ProviderError("unavailable", `${file}: "runtime" is missing; it must name a language, as in "runtime: nodejs".`);
  }
  const { runtime } = project.data;
  if (runtime.name !== "nodejs") {
    const hint = "Run this stack with the Pulumi CLI, or install the plug-in in its compiled form.";
    throw new ProviderError("unavailable", `${file}: the runtime "${runtime.name}" is not supported, only nodejs is. ${hint}`);
  }
  const nodeArguments = (runtime.options?.nodeargs ?? "").split(/\s+/).filter(Boolean);
  return { name, version, directory, start: { runtime: "nodejs", nodeArguments } };
}

function parseYaml(file: string): unknown {
  try {
    return parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new ProviderError("unavailable", `${file} is not YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function again(name: string, version: string): string {
  return ` Install it again: pulumi plugin install resource ${name} ${version} --reinstall`;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

function sameVersion(a: string, b: string): boolean {
  return withoutBuild(a) === withoutBuild(b);
}

function withoutBuild(version: string): string {
  return version.replace(/^v/, "").replace(/\+.*$/, "");
}

/** By number; any release is later than any pre-release, as for the CLI. */
function compareVersions(a: string, b: string): number {
  const isRelease = (version: string) => !withoutBuild(version).includes("-");
  const order = Number(isRelease(a)) - Number(isRelease(b));
  return order || withoutBuild(a).localeCompare(withoutBuild(b), "en", { numeric: true });
}
