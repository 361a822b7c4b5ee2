/** A release: the bundled gateway, the Node that runs it and its command line, as a folder and as an archive to be sent. */
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { archiveOf } from "./archive.ts";
import { bundleGateway } from "./bundle.ts";
import { kept } from "./cache.ts";
import { nodeBinary, type ReleasePlatform } from "./node-binary.ts";

export interface Release {
  /** The release as it is unpacked. */
  directory: string;
  /** The same as .tar.gz; everything in it is in one folder, named by the id. */
  archive: string;
  /** Identity of what it was made from, the platform included. */
  id: string;
  /** Of the archive, in hex. */
  sha256: string;
}

/** Of every process of a gateway: the supervisor says why. */
const flags =
  "--disable-warning=ExperimentalWarning --no-allocation-site-pretenuring --max-semi-space-size=8 --heap-growing-percent=40 --no-maglev --v8-pool-size=1 --external-memory-accounted-in-global-limit";

/** The command line, started from wherever the release lies. */
const launcher = `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
export MALLOC_ARENA_MAX="\${MALLOC_ARENA_MAX:-1}"
exec "$here/node" ${flags} "$here/../gateway/main.js" "$@"
`;

export function buildRelease(platform: ReleasePlatform): Release {
  const bundle = bundleGateway();
  const node = nodeBinary(platform);
  const id = `${bundle.id}-${platform}`;
  const home = kept(`release-${id}`, (directory) => {
    const unpacked = join(directory, id);
    writeRelease(unpacked, bundle.directory, node.directory);
    const archive = archiveOf(unpacked, id, { "bin/node": node.compressed() });
    writeFileSync(join(directory, `${id}.tar.gz`), archive);
    writeFileSync(join(directory, "sha256"), createHash("sha256").update(archive).digest("hex"));
  });
  return {
    directory: join(home, id),
    archive: join(home, `${id}.tar.gz`),
    id,
    sha256: readFileSync(join(home, "sha256"), "utf8"),
  };
}

/** Also what the image holds. */
export function writeRelease(directory: string, bundle: string, node: string): void {
  cpSync(bundle, directory, { recursive: true });
  mkdirSync(join(directory, "bin"));
  linkOrCopy(join(node, "bin", "node"), join(directory, "bin", "node"));
  copyFileSync(join(node, "LICENSE"), join(directory, "LICENSE-node"));
  const command = join(directory, "bin", "openclaw-gateway");
  writeFileSync(command, launcher);
  chmodSync(command, 0o755);
  letAllRead(directory);
}

/** Whoever runs it is not who made it, and nobody but its owner may change it: whatever this user's umask is. */
function letAllRead(directory: string): void {
  for (const name of ["", ...readdirSync(directory, { recursive: true, encoding: "utf8" })]) {
    const path = join(directory, name);
    const status = lstatSync(path);
    const mode = status.isDirectory() || status.mode & 0o100 ? 0o755 : 0o644;
    if ((status.mode & 0o777) !== mode) chmodSync(path, mode);
  }
}

/** 120 MB that nobody changes need not lie there twice. */
function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}
