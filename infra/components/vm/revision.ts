/** Pure: a short name of what was rendered, which is another where any of it is another. */
import { createHash } from "node:crypto";

export function revisionOf(contents: readonly string[]): string {
  return createHash("sha256").update(contents.join("\0")).digest("hex").slice(0, 12);
}
