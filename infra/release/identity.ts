/** Identity of the gateway's code: another one means that running processes are to be replaced. */
import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../places.ts";

/** Everything that a release is made from; `infra/release` too, since it decides how. */
const sources = ["gateway/**/*.ts", "gateway/image/*", "infra/release/*.ts"];

export function gatewayRelease(): string {
  const hash = createHash("sha256");
  for (const file of [...new Set(globSync(sources, { cwd: root }))].sort().concat("package-lock.json", "LICENSE")) {
    hash.update(`${file}\0`).update(readFileSync(join(root, file)));
  }
  return hash.digest("hex").slice(0, 12);
}
