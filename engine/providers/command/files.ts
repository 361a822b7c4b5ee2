/** Files that a command leaves behind: found by globs below its directory, returned as assets or as one archive. */
import { readdir } from "node:fs/promises";
import { posix } from "node:path";
import { hashArchive, hashAsset } from "../../assets.ts";
import { isMap, type PropertyMap, signatureKey, signatures } from "../../values.ts";
import { ProviderError } from "../provider.ts";
import { globMatcher } from "./glob.ts";

export interface Folder {
  absolute: string;
  /** As the outputs name it. */
  given: string;
}

export async function collectAssets(folder: Folder, globs: string[]): Promise<PropertyMap> {
  const out: PropertyMap = {};
  for (const file of await matchingFiles(folder.absolute, globs)) {
    const path = posix.join(folder.given, file);
    out[file] = { [signatureKey]: signatures.asset, hash: await hashOf(folder, file), path };
  }
  return out;
}

/** Assets of which only the hashes are known, with the paths that they were found at. */
export function withPaths(assets: PropertyMap, folder: Folder): PropertyMap {
  return Object.fromEntries(
    Object.entries(assets).map(([file, asset]) => [
      file,
      isMap(asset) && asset.path === undefined && asset.text === undefined
        ? { ...asset, path: posix.join(folder.given, file) }
        : asset,
    ]),
  );
}

export async function collectArchive(folder: Folder, globs: string[]): Promise<PropertyMap> {
  const assets: PropertyMap = {};
  const hashed: PropertyMap = {};
  for (const [file, asset] of Object.entries(await collectAssets(folder, globs))) {
    if (typeof asset !== "object" || asset === null || Array.isArray(asset)) continue;
    assets[file] = { ...asset, text: "", uri: "" };
    hashed[file] = { [signatureKey]: signatures.asset, path: posix.join(folder.absolute, file) };
  }
  const hash = await hashArchive({ [signatureKey]: signatures.archive, assets: hashed }, folder.absolute);
  return { [signatureKey]: signatures.archive, assets, hash, path: "", uri: "" };
}

async function hashOf(folder: Folder, file: string): Promise<string> {
  try {
    return await hashAsset({ [signatureKey]: signatures.asset, path: file }, folder.absolute);
  } catch (error) {
    throw new ProviderError("failed", `reading ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Relative paths with "/" in them, in the order of a directory walk. Later globs win; those with "!" take files out. */
async function matchingFiles(directory: string, globs: string[]): Promise<string[]> {
  const rules = globs.map((glob) => ({
    take: !glob.startsWith("!"),
    matches: globMatcher(glob.startsWith("!") ? glob.slice(1) : glob),
  }));
  const found: string[] = [];
  const walk = async (below: string): Promise<void> => {
    const entries = await readdir(posix.join(directory, below), { withFileTypes: true });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) {
        await walk(path);
        continue;
      }
      let taken = false;
      for (const rule of rules) if (rule.matches(path)) taken = rule.take;
      if (taken) found.push(path);
    }
  };
  await walk("");
  return found;
}
