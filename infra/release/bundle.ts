/** The gateway as a folder of few JavaScript files that need no packages beside them, made once a version of its sources. */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import type { BuildOptions } from "esbuild";
import { root } from "../places.ts";
import { kept } from "./cache.ts";
import { gatewayRelease } from "./identity.ts";
import { licences } from "./licences.ts";
import { productVersion } from "./packages.ts";

export interface Bundle {
  /** Holds package.json, licences and gateway/ with main.js, supervisor-control.js, supervisor-main.js and health.js. */
  directory: string;
  /** Identity of what it was made from. */
  id: string;
}

/** Files that something starts as a process, by the name that they have in the bundle. */
const entries = {
  "gateway/main": "gateway/main.ts",
  "gateway/supervisor-main": "gateway/process/supervisor-main.ts",
  "gateway/supervisor-control": "gateway/process/supervisor-control.ts",
  "gateway/health": "gateway/image/health.ts",
};

const options: BuildOptions & { write: false; metafile: true } = {
  absWorkingDir: root,
  entryPoints: entries,
  outdir: "bundle",
  chunkNames: "gateway/[name]-[hash]",
  bundle: true,
  // What is imported on demand stays in files of its own.
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node24",
  minifySyntax: true,
  minifyWhitespace: true,
  // Names stay: they are in stack traces and error texts.
  keepNames: false,
  legalComments: "none",
  sourcemap: "linked",
  sourcesContent: false,
  // Packages of the older kind call it for what Node brings itself.
  banner: { js: 'import{createRequire}from"node:module";const require=createRequire(import.meta.url);' },
  write: false,
  metafile: true,
  logLevel: "silent",
};

export function bundleGateway(): Bundle {
  const id = gatewayRelease();
  return { id, directory: kept(`bundle-${id}`, writeBundle) };
}

function writeBundle(directory: string): void {
  // Only where a bundle is to be made: loading it takes as long as all else of a program that makes none.
  const { buildSync }: typeof import("esbuild") = createRequire(import.meta.url)("esbuild");
  const { outputFiles, metafile } = buildSync(options);
  mkdirSync(join(directory, "gateway"));
  for (const { path, text } of outputFiles) {
    writeFileSync(join(directory, "gateway", basename(path)), path.endsWith(".js") ? withEntryNames(text) : text);
  }
  const description = { name: "openclaw-stack-gateway", version: productVersion(), type: "module", license: "Apache-2.0" };
  writeFileSync(join(directory, "package.json"), `${JSON.stringify(description, null, 2)}\n`);
  writeFileSync(join(directory, "THIRD-PARTY-LICENSES.txt"), licences(Object.keys(metafile.inputs)));
  copyFileSync(join(root, "LICENSE"), join(directory, "LICENSE"));
}

/** Where the gateway starts another of its files as a process, that has another ending here. */
function withEntryNames(code: string): string {
  return code.replace(/import\.meta\.dirname,"([\w-]+)\.ts"/g, 'import.meta.dirname,"$1.js"');
}
