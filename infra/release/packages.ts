/** What package-lock.json says of a package that goes into a release. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../places.ts";

export interface LockedPackage {
  version: string;
  /** Subresource integrity of its archive in the registry. */
  integrity: string;
}

export function lockedPackage(name: string): LockedPackage {
  const lock: { packages: { [path: string]: { version?: string; integrity?: string } | undefined } } = JSON.parse(
    readFileSync(join(root, "package-lock.json"), "utf8"),
  );
  const { version, integrity } = lock.packages[`node_modules/${name}`] ?? {};
  if (!version || !integrity) throw new Error(`package-lock.json does not name ${name}`);
  return { version, integrity };
}

/** Of this repository's own package.json. */
export function productVersion(): string {
  const { version }: { version: string } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return version;
}
