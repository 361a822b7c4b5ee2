/** Finds and reads Pulumi.yaml: name, runtime, program, where stack files lie, and what configuration the project declares. */
import { stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { isMap, isScalar, isSeq } from "yaml";
import { type ConfigDeclaration, readConfigDeclarations } from "./config-declarations.ts";
import { EngineError } from "./errors.ts";
import { childOf, closest, describeNode, keyNodeOf, readYamlFile, type YamlFile } from "./yaml-file.ts";

export interface Project {
  /** Absolute path of Pulumi.yaml. */
  file: string;
  /** Its folder, the project's root. */
  directory: string;
  name: string;
  description?: string;
  runtime: string;
  runtimeOptions: { [key: string]: unknown };
  /** As written. */
  main?: string;
  /** The program's working directory: the folder of `main`. */
  programDirectory: string;
  /** What runs in it: the file name of `main`, or "." for the folder itself. */
  entryPoint: string;
  /** Absolute folder of the stack files. */
  stackConfigDir: string;
  /** `backend.url`. */
  backendUrl?: string;
  /** `options.refresh: always`. */
  refreshAlways: boolean;
  /** In the order of the file; keys as written (with or without namespace). */
  config: ConfigDeclaration[];
}

const names = ["Pulumi.yaml", "Pulumi.yml", "Pulumi.json"];
const knownKeys = [
  ...["name", "runtime", "main", "description", "author", "website", "license", "config", "stackConfigDir", "template"],
  ...["backend", "options", "packages", "plugins", "requiredPulumiVersion"],
];

/** Looks in `cwd` and the folders above it, as the CLI does. */
export async function loadProject(cwd: string): Promise<Project> {
  const file = await findProjectFile(cwd);
  if (file === undefined) {
    throw new EngineError(
      `no Pulumi.yaml project file found (searching upwards from ${cwd}). If you have not created a project yet, use \`pulumi new\` to do so`,
    );
  }
  const yaml = await readYamlFile(file);
  if (!yaml) throw new EngineError(`could not read '${file}': it was removed while it was being read`);
  return readProject(file, yaml);
}

async function findProjectFile(cwd: string): Promise<string | undefined> {
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    for (const name of names) {
      const path = join(folder, name);
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile()) return path;
      if (found) throw new EngineError(`${path} is a folder, not a project file; move it away or run the command elsewhere`);
    }
    if (dirname(folder) === folder) return undefined;
  }
}

/** The stack's own settings file. */
export function stackConfigFile(project: Project, stack: string): string {
  const extension = project.file.endsWith(".json") ? "json" : "yaml";
  return join(project.stackConfigDir, `Pulumi.${stack}.${extension}`);
}

async function readProject(file: string, yaml: YamlFile): Promise<Project> {
  const { root } = yaml;
  if (!root) throw new EngineError(`${file}: the file is empty; a project needs at least \`name\` and \`runtime\``);
  for (const pair of root.items) {
    const key = isScalar(pair.key) ? String(pair.key.value) : "";
    const meant = knownKeys.includes(key) ? undefined : closest(key, knownKeys);
    if (meant) yaml.fail(pair.key, `unknown setting '${key}'; did you mean '${meant}'?`);
  }
  const directory = dirname(file);
  const name = readName(yaml);
  const { runtime, runtimeOptions } = readRuntime(yaml);
  const main = readText(yaml, "main");
  const { programDirectory, entryPoint } = await readMain(yaml, directory, main);
  const backend = childOf(root, "backend");
  if (backend && !isMap(backend) && !(isScalar(backend) && backend.value === null)) {
    yaml.fail(backend, `'backend' must be a map with 'url', found ${describeNode(backend)}`);
  }
  const description = readText(yaml, "description");
  const backendUrl = isMap(backend) ? readText(yaml, "url", "backend.url", backend) : undefined;
  const options = childOf(root, "options");
  const refresh = isMap(options) ? readText(yaml, "refresh", "options.refresh", options) : undefined;
  if (refresh !== undefined && refresh !== "always") {
    yaml.fail(
      childOf(isMap(options) ? options : undefined, "refresh"),
      `'options.refresh' is '${refresh}'; the only value is 'always'`,
    );
  }
  const configNode = childOf(root, "config");
  // `config: <folder>` is the older spelling of stackConfigDir.
  const olderDirectory = isScalar(configNode) && typeof configNode.value === "string" ? configNode.value : undefined;
  const newDirectory = readText(yaml, "stackConfigDir");
  if (olderDirectory !== undefined && newDirectory !== undefined) {
    yaml.fail(configNode, "both 'config' and 'stackConfigDir' name the folder of the stack files; keep only 'stackConfigDir'");
  }
  return {
    file,
    directory,
    name,
    ...(description === undefined ? {} : { description }),
    runtime,
    runtimeOptions,
    ...(main === undefined ? {} : { main }),
    programDirectory,
    entryPoint,
    stackConfigDir: resolve(directory, newDirectory ?? olderDirectory ?? "."),
    ...(backendUrl === undefined ? {} : { backendUrl }),
    refreshAlways: refresh === "always",
    config: olderDirectory === undefined ? readConfigDeclarations(yaml, configNode, name) : [],
  };
}

function readName(yaml: YamlFile): string {
  const node = childOf(yaml.root, "name");
  if (node === undefined) throw new EngineError(`${yaml.path}: project is missing a 'name' attribute; add \`name: <project>\``);
  const name = isScalar(node) && typeof node.value === "string" ? node.value : "";
  if (name === "")
    return yaml.fail(node, `project is missing a non-empty string 'name' attribute; found ${describeNode(node)}`);
  if (!/^[A-Za-z0-9_.-]{1,100}$/.test(name)) {
    yaml.fail(node, `the project name '${name}' may only hold letters, digits, '-', '_' and '.', at most 100 of them`);
  }
  return name;
}

function readRuntime(yaml: YamlFile): { runtime: string; runtimeOptions: { [key: string]: unknown } } {
  const node = childOf(yaml.root, "runtime");
  if (node === undefined) throw new EngineError(`${yaml.path}: 'runtime' is missing; add \`runtime: nodejs\``);
  let runtime = isScalar(node) && typeof node.value === "string" ? node.value : undefined;
  let runtimeOptions = {};
  if (isMap(node)) {
    for (const pair of node.items) {
      const key = isScalar(pair.key) ? String(pair.key.value) : "";
      if (key !== "name" && key !== "options")
        yaml.fail(pair.key, `unknown setting 'runtime.${key}'; there are 'name' and 'options'`);
    }
    runtime = readText(yaml, "name", "runtime.name", node);
    const options = childOf(node, "options");
    if (isMap(options)) runtimeOptions = options.toJS(yaml.document);
    else if (options && !(isScalar(options) && options.value === null)) {
      yaml.fail(options, `'runtime.options' must be a map, found ${describeNode(options)}`);
    }
  }
  if (!runtime) return yaml.fail(node, `'runtime' must be a name, or a map with 'name', found ${describeNode(node)}`);
  if (runtime !== "nodejs") {
    yaml.fail(
      node,
      `the embedded engine runs programs of the runtime 'nodejs' only, not '${runtime}'; use the Pulumi CLI for it`,
    );
  }
  return { runtime, runtimeOptions };
}

async function readMain(
  yaml: YamlFile,
  directory: string,
  main: string | undefined,
): Promise<{ programDirectory: string; entryPoint: string }> {
  if (!main) return { programDirectory: directory, entryPoint: "." };
  const node = childOf(yaml.root, "main");
  const path = isAbsolute(main) ? main : join(directory, main);
  if (relative(directory, path).startsWith("..")) {
    yaml.fail(node, `project 'main' could not be read: '${main}' must be a subfolder of the project's folder ${directory}`);
  }
  const found = await stat(path).catch(() => undefined);
  if (!found) return yaml.fail(node, `project 'main' could not be read: there is no '${main}' in ${directory}`);
  if (found.isDirectory()) return { programDirectory: path.replace(/\/+$/, ""), entryPoint: "." };
  return { programDirectory: dirname(path), entryPoint: basename(path) };
}

function readText(yaml: YamlFile, key: string, label = key, map = yaml.root): string | undefined {
  const node = childOf(map, key);
  if (node === undefined || (isScalar(node) && node.value === null)) return undefined;
  if (isScalar(node) && typeof node.value === "string") return node.value;
  const kind = isSeq(node) ? "a list" : describeNode(node);
  return yaml.fail(node ?? keyNodeOf(map, key), `'${label}' must be text, found ${kind}`);
}
