/** Where the backend is: its URL, the folder behind it, whether its state is compressed, and whether its layout is known. */
import { readdir, readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { parse as parseYaml } from "yaml";
import { EngineError } from "./errors.ts";
import { errnoOf, explainErrno } from "./files.ts";
import type { Project } from "./project.ts";

type Env = { [name: string]: string | undefined };

export function isTruthy(value: string | undefined): boolean {
  return value === "1" || value?.toLowerCase() === "true";
}

/** `~/.pulumi`, or PULUMI_HOME. */
export function pulumiHome(env: Env): string {
  return env.PULUMI_HOME || join(env.HOME || homedir(), ".pulumi");
}

export async function chooseUrl(env: Env, project: Project | undefined): Promise<{ url: string; from: string }> {
  if (env.PULUMI_BACKEND_URL) return { url: env.PULUMI_BACKEND_URL, from: "PULUMI_BACKEND_URL" };
  if (project?.backendUrl) return { url: project.backendUrl, from: `'backend.url' in ${project.file}` };
  const credentials = join(pulumiHome(env), "credentials.json");
  let text: string;
  try {
    text = await readFile(credentials, "utf8");
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") {
      throw new EngineError(`could not read '${credentials}': ${explainErrno(error)}`, { cause: error });
    }
    throw new EngineError(
      "no backend is chosen, which to the Pulumi CLI means Pulumi Cloud; the embedded engine keeps state in files only. " +
        "Set PULUMI_BACKEND_URL=file://<folder>, or run `pulumi login --local`",
    );
  }
  let current: unknown;
  try {
    const parsed: unknown = JSON.parse(text);
    current = typeof parsed === "object" && parsed !== null && "current" in parsed ? parsed.current : undefined;
  } catch (error) {
    throw new EngineError(
      `${credentials}: the file is not JSON; run \`pulumi login --local\` again, or set PULUMI_BACKEND_URL`,
      { cause: error },
    );
  }
  if (typeof current !== "string" || current === "") {
    throw new EngineError(`${credentials}: nobody is logged in ('current' is missing); set PULUMI_BACKEND_URL=file://<folder>`);
  }
  return { url: current, from: `the login in ${credentials}` };
}

const others: { [scheme: string]: string } = {
  https: "Pulumi Cloud",
  http: "a self-hosted Pulumi Cloud",
  s3: "an S3 bucket",
  azblob: "Azure Blob Storage",
  gs: "Google Cloud Storage",
  postgres: "a PostgreSQL database",
};

export function directoryOf(url: string, from: string, env: Env, cwd: string): string {
  const scheme = /^([a-z0-9+.-]+):/i.exec(url)?.[1]?.toLowerCase();
  if (scheme !== "file" || !url.startsWith("file://")) {
    const what = scheme ? others[scheme] : undefined;
    // Only the scheme is shown: the rest may hold credentials.
    const shown = what ? `${scheme}://… (${what})` : "not a URL that begins with file://";
    throw new EngineError(
      `the backend from ${from} is ${shown}; the embedded engine keeps state in files only. Use the Pulumi CLI, or set PULUMI_BACKEND_URL=file://<folder>`,
    );
  }
  const path = decodePath(url.slice("file://".length).split("?")[0] ?? "", from);
  if (path === "~") return env.HOME || homedir();
  if (path.startsWith("~")) return resolve(env.HOME || homedir(), path.slice(2));
  return resolve(cwd, path);
}

function decodePath(path: string, from: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new EngineError(`the backend from ${from} holds a broken percent escape; write \`%25\` for a percent sign`);
  }
}

export function compressionOf(env: Env): boolean {
  const gzip = isTruthy(env.PULUMI_DIY_BACKEND_GZIP) || isTruthy(env.PULUMI_SELF_MANAGED_STATE_GZIP);
  if (isTruthy(env.PULUMI_DIY_BACKEND_ZSTD) || isTruthy(env.PULUMI_SELF_MANAGED_STATE_ZSTD)) {
    throw new EngineError(
      "PULUMI_DIY_BACKEND_ZSTD: the embedded engine does not compress with zstd; use PULUMI_DIY_BACKEND_GZIP, or unset it",
    );
  }
  return gzip;
}

export async function checkLayout(root: string, directory: string): Promise<void> {
  const info = await stat(directory).catch(() => undefined);
  if (info && !info.isDirectory())
    throw new EngineError(`the state directory '${directory}' is a file; set PULUMI_BACKEND_URL to a folder`);
  const path = join(root, "meta.yaml");
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw new EngineError(`could not read '${path}': ${explainErrno(error)}`, { cause: error });
  });
  let version: unknown = 1;
  if (text === undefined) {
    const old = (await names(join(root, "stacks"))).some((name) => /\.json(\.gz|\.zst)?$/.test(name));
    if (old) version = 0;
  } else {
    try {
      const parsed: unknown = parseYaml(text);
      version = typeof parsed === "object" && parsed !== null && "version" in parsed ? parsed.version : undefined;
    } catch {
      version = undefined;
    }
  }
  if (version === 1) return;
  if (version === 0) {
    throw new EngineError(
      `${root}: the state has the older layout without projects; upgrade it with \`pulumi state upgrade\` of the Pulumi CLI`,
    );
  }
  if (typeof version === "number") {
    throw new EngineError(
      `${path}: state store unsupported: version (${version}) is not known to this engine; use a newer Pulumi CLI`,
    );
  }
  throw new EngineError(`${path}: corrupt store: the file must read \`version: 1\``);
}

/** Sorted; none where there is no such folder. */
export async function names(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return [];
    throw new EngineError(`could not read the folder '${folder}': ${explainErrno(error)}`, { cause: error });
  }
}
