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
import { lineMap } from "./source-maps.ts";

export interface Bundle {
  /** Holds package.json, licences and gateway/ with main.js, supervisor-control.js, supervisor-main.js and health.js. */
  directory: string;
  /** Identity of what it was made from. */
  id: string;
}

/** Files that something starts as a process, by the name that they have in the bundle; `trace` is what the first one loads first. */
const entries = {
  main: "gateway/main.ts",
  "supervisor-main": "gateway/process/supervisor-main.ts",
  "supervisor-control": "gateway/process/supervisor-control.ts",
  health: "gateway/image/health.ts",
  trace: "gateway/image/trace.ts",
};

/** Packages of the older kind call `require` for what Node brings itself. One line, so that source maps hold. */
const banner = 'import{createRequire}from"node:module";const require=createRequire(import.meta.url);';

const options: BuildOptions & { write: false; metafile: true } = {
  absWorkingDir: root,
  entryPoints: entries,
  outdir: "bundle",
  bundle: true,
  // What is imported on demand stays in files of its own.
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node24",
  // Names of functions and classes stay as they are: they show in stack traces and logs.
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "none",
  sourcemap: "linked",
  sourcesContent: false,
  banner: { js: banner },
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
  const texts = new Map(outputFiles.map(({ path, text }) => [basename(path), text]));
  mkdirSync(join(directory, "gateway"));
  for (const [name, text] of texts) {
    if (!name.endsWith(".js")) continue;
    const map = lineMap(texts.get(`${name}.map`) ?? "", ourName);
    if (map !== undefined) writeFileSync(join(directory, "gateway", `${name}.map`), map);
    writeFileSync(join(directory, "gateway", name), finished(name, text, map !== undefined));
  }
  const description = { name: "openclaw-stack-gateway", version: productVersion(), type: "module", license: "Apache-2.0" };
  writeFileSync(join(directory, "package.json"), `${JSON.stringify(description, null, 2)}\n`);
  writeFileSync(join(directory, "THIRD-PARTY-LICENSES.txt"), licences(Object.keys(metafile.inputs)));
  copyFileSync(join(root, "LICENSE"), join(directory, "LICENSE"));
}

/** `gateway/…`, below the bundle's folder; undefined for packages. */
function ourName(source: string): string | undefined {
  return source.startsWith("../gateway/") ? source : undefined;
}

function finished(name: string, code: string, hasMap: boolean): string {
  // Where the gateway starts another of its files as a process, that has another ending here.
  const named = code.replace(/import\.meta\.dirname,"([\w-]+)\.ts"/g, 'import.meta.dirname,"$1.js"');
  if (!hasMap) return named.replace(/\n\/\/# sourceMappingURL=.*\n$/, "\n");
  return name === "main.js" ? named.replace(banner, `import"./trace.js";${banner}`) : named;
}
