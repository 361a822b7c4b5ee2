/** Pulumi's file backend: where the state of all stacks lies, how it is laid out, and what may be asked of it. */
import { mkdir, readFile, rm, stat, unlink, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { checkLayout, chooseUrl, compressionOf, directoryOf, names } from "./backend-location.ts";
import { decodeDeployment, parseCheckpoint, type StoredCheckpoint } from "./checkpoint.ts";
import { EngineError } from "./errors.ts";
import { attrsOf, errnoOf, explainErrno, writeDurably } from "./files.ts";
import type { Project } from "./project.ts";
import { stackType } from "./resource.ts";
import { type AskHidden, openSecrets } from "./secrets.ts";
import type { StateFile } from "./state.ts";
import type { PropertyMap } from "./values.ts";

type Env = { [name: string]: string | undefined };

export interface StackReference {
  project: string;
  name: string;
  /** `organization/<project>/<name>`. */
  qualified: string;
}

export interface Backend {
  /** As the user gave it, e.g. `file://~`; keys the selected stack. */
  readonly url: string;
  /** Absolute, as the CLI shows it in messages: `file:///…?no_tmp_dir=true`. */
  readonly resolvedUrl: string;
  /** The folder that holds `.pulumi`. */
  readonly directory: string;
  /** What the CLI calls the backend: the host's name. */
  readonly name: string;
  /** `stack`, `organization/stack` or `organization/project/stack`. */
  reference(text: string): StackReference;
  /** The name alone in the current project, otherwise the qualified one. */
  display(ref: StackReference): string;
  /** The URL of a path below the backend, for messages. */
  urlOf(path: string): string;
  list(): Promise<StackReference[]>;
  exists(ref: StackReference): Promise<boolean>;
  /** The file that holds the stack's state now. */
  currentFile(ref: StackReference): Promise<string | undefined>;
  /** Where the next write goes. */
  stateFile(ref: StackReference): Promise<StateFile>;
  read(ref: StackReference): Promise<StoredCheckpoint>;
  folderOf(kind: "history" | "backups" | "locks", ref: StackReference): string;
  /** Makes `.pulumi/meta.yaml` where it is missing. */
  prepare(): Promise<void>;
  /** Takes the state away; a `.bak` stays. */
  remove(ref: StackReference, options: { removeBackups: boolean }): Promise<void>;
}

export async function openBackend(options: { env: Env; project: Project | undefined; cwd: string }): Promise<Backend> {
  const { env, project } = options;
  const { url, from } = await chooseUrl(env, project);
  const directory = directoryOf(url, from, env, options.cwd);
  const root = join(directory, ".pulumi");
  const compress = compressionOf(env);
  await checkLayout(root, directory);

  const stacks = (ref: StackReference): string => join(root, "stacks", ref.project, ref.name);
  const candidates = async (ref: StackReference): Promise<{ path: string; modified: number; folder: boolean }[]> => {
    const found: { path: string; modified: number; folder: boolean }[] = [];
    for (const extension of [".json", ".json.gz", ".json.zst"]) {
      const path = stacks(ref) + extension;
      const info = await stat(path).catch((error: unknown) => {
        if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
        throw new EngineError(`could not read '${path}': ${explainErrno(error)}`, { cause: error });
      });
      if (info) found.push({ path, modified: info.mtimeMs, folder: info.isDirectory() });
    }
    return found.sort((a, b) => b.modified - a.modified);
  };

  const backend: Backend = {
    url,
    resolvedUrl: `file://${directory}?no_tmp_dir=true`,
    directory,
    name: hostname() || "diy",
    reference: (text) => parseReference(text, project?.name),
    display: (ref) => (ref.project === project?.name ? ref.name : ref.qualified),
    urlOf: (path) => `file://${path}?no_tmp_dir=true`,
    async list() {
      const found = new Map<string, StackReference>();
      for (const projectName of await names(join(root, "stacks"))) {
        for (const file of await names(join(root, "stacks", projectName))) {
          const name = /^([A-Za-z0-9_.-]+)\.json(\.gz|\.zst)?$/.exec(file)?.[1];
          if (!name || file.endsWith(".attrs")) continue;
          const qualified = `organization/${projectName}/${name}`;
          found.set(qualified, { project: projectName, name, qualified });
        }
      }
      return [...found.values()];
    },
    exists: async (ref) => (await candidates(ref)).length > 0,
    currentFile: async (ref) => (await candidates(ref))[0]?.path,
    async stateFile(ref) {
      const path = `${stacks(ref)}.json${compress ? ".gz" : ""}`;
      const [current] = await candidates(ref);
      return { path, compress, ...(current && current.path !== path ? { obsolete: current.path } : {}) };
    },
    async read(ref) {
      const [current] = await candidates(ref);
      if (!current) throw stackNotFound(backend.display(ref));
      if (current.folder) throw new EngineError(`${current.path} is a folder where the state file should be; move it away`);
      try {
        return parseCheckpoint(current.path, await readFile(current.path));
      } catch (error) {
        if (error instanceof EngineError) throw error;
        throw new EngineError(`could not read the state file '${current.path}': ${explainErrno(error)}`, { cause: error });
      }
    },
    folderOf: (kind, ref) =>
      kind === "locks" ? join(root, "locks", "organization", ref.project, ref.name) : join(root, kind, ref.project, ref.name),
    async prepare() {
      const path = join(root, "meta.yaml");
      if (await stat(path).catch(() => undefined)) return;
      try {
        await writeBlob(path, "version: 1\n");
      } catch (error) {
        throw new EngineError(
          `could not write to the state directory '${directory}': ${explainErrno(error)}\n  It comes from ${from}; choose a folder that can be written`,
          { cause: error },
        );
      }
    },
    async remove(ref, { removeBackups }) {
      for (const { path } of await candidates(ref)) await retire(path, removeBackups);
      await rm(backend.folderOf("history", ref), { recursive: true, force: true });
      await rm(`${stacks(ref)}.pulumi-tags`, { force: true });
      if (removeBackups) await rm(backend.folderOf("backups", ref), { recursive: true, force: true });
    },
  };
  return backend;
}

/** A file as the CLI's storage layer writes it, with its sidecar. */
export async function writeBlob(path: string, content: string | Uint8Array): Promise<void> {
  await writeDurably(path, content);
  // Nothing depends on it: it need not outlive a power cut.
  await writeFile(`${path}.attrs`, attrsOf(content), { mode: 0o600 });
}

export async function removeBlob(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(`${path}.attrs`, { force: true });
}

/** CLI: StackNotFoundError, exit code 6. */
export function stackNotFound(name: string): EngineError {
  return new EngineError(`no stack named '${name}' found`, { exitCode: 6 });
}

/**
 * Another stack's outputs for a StackReference, secrets tagged; undefined where there is no such stack.
 * `name` is `organization/project/stack` (or shorter, then in the current project).
 */
export async function readStackOutputs(
  backend: Backend,
  name: string,
  env: Env,
  ask?: AskHidden,
): Promise<PropertyMap | undefined> {
  const ref = backend.reference(name);
  if (!(await backend.exists(ref))) return undefined;
  const { path, latest } = await backend.read(ref);
  if (!latest) return {};
  const salt = latest.secretsProvider?.salt;
  const secrets = salt ? await openSecrets(salt, env, { source: path, ask }) : undefined;
  const root = latest.resources.filter((resource) => resource.type === stackType && !resource.parent);
  const { resources } = decodeDeployment(path, { ...latest, resources: root.slice(0, 1), pendingOperations: [] }, secrets);
  return resources[0]?.outputs ?? {};
}

/** CLI: `.bak` is a copy, then the original goes. */
async function retire(path: string, removeBackups: boolean): Promise<void> {
  const backup = `${path}.bak`;
  if (removeBackups) {
    await removeBlob(backup);
  } else {
    const content = await readFile(path);
    await writeBlob(backup, content);
  }
  await removeBlob(path);
}

/** As the CLI: `stack`, `organization/stack`, `organization/project/stack`. */
export function parseReference(text: string, currentProject: string | undefined): StackReference {
  if (text === "") throw new EngineError("stack name must not be empty");
  const parts = text.split("/");
  const [organization, project, name] =
    parts.length === 1
      ? ["organization", currentProject, parts[0]]
      : parts.length === 2
        ? [parts[0], currentProject, parts[1]]
        : parts;
  if (organization !== "organization") throw new EngineError("organization name must be 'organization'");
  if (!project) {
    throw new EngineError(
      "no Pulumi.yaml project file found; either run this command from a directory containing a Pulumi project, or pass the fully qualified stack name (organization/project/stack)",
    );
  }
  if (parts.length > 3) throw new EngineError(`the stack name '${text}' has too many parts; write organization/project/stack`);
  if (!name) throw new EngineError("a stack name may not be empty");
  if (name.length > 100) throw new EngineError("a stack name cannot exceed 100 characters");
  const bad = name.search(/[^A-Za-z0-9_.-]/);
  if (bad >= 0) {
    throw new EngineError(
      `a stack name may only contain alphanumeric, hyphens, underscores, or periods: invalid character '${[...name.slice(bad)][0]}' at position ${bad}`,
    );
  }
  if (!/^[A-Za-z0-9_.-]+$/.test(project))
    throw new EngineError(`the project name '${project}' in '${text}' holds other than letters, digits, '-', '_' and '.'`);
  if (name === "." || name === ".." || project === "." || project === "..")
    throw new EngineError(`'${text}' is not a stack name`);
  return { project, name, qualified: `organization/${project}/${name}` };
}

/** Left over from a process that was killed while it wrote. */
export async function removeLeftovers(folder: string, file: string): Promise<void> {
  for (const name of await names(folder)) {
    if (name.startsWith(`${file}.`) && name.endsWith(".tmp")) await unlink(join(folder, name)).catch(() => undefined);
  }
}

export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw new EngineError(`could not make the folder '${path}': ${explainErrno(error)}`, { cause: error });
  }
}
