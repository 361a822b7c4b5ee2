/** The licences of the packages whose code is in a bundle, as one text. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../places.ts";

/** @param inputs the bundle's source files, relative to the repository */
export function licences(inputs: readonly string[]): string {
  const folders = new Set(inputs.flatMap((file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []));
  return [...folders]
    .sort()
    .map(licenceOf)
    .join(`\n${"-".repeat(80)}\n\n`);
}

function licenceOf(folder: string): string {
  const path = join(root, folder);
  const { name, version, license }: { name: string; version: string; license?: string } = JSON.parse(
    readFileSync(join(path, "package.json"), "utf8"),
  );
  const file = readdirSync(path)
    .sort()
    .find((entry) => /^licen[cs]e/i.test(entry));
  const text = file && existsSync(join(path, file)) ? readFileSync(join(path, file), "utf8").trim() : "";
  return `${name} ${version} (${license ?? "see below"})\n${text ? `\n${text}\n` : ""}`;
}
