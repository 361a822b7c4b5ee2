/** Identity of the gateway's code: another one means that running processes are to be replaced. */
import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./places.ts";

export function gatewayRelease(): string {
  const hash = createHash("sha256");
  for (const file of [...globSync("gateway/**/*.ts", { cwd: root }).sort(), "package-lock.json"]) {
    hash.update(`${file}\0`).update(readFileSync(join(root, file)));
  }
  return hash.digest("hex").slice(0, 12);
}
