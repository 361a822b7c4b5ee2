/** Which resources an operation is limited to: URNs and globs (`*` within a part of a URN, `**` across parts). */
import type { Urn } from "./resource.ts";

export interface Targets {
  /** False where nothing was named, i.e. all resources are meant. */
  readonly constrained: boolean;
  contains(urn: Urn): boolean;
  /** URNs that were named in full. */
  literals(): Urn[];
  /** Adds one more, unless all resources are meant. */
  add(urn: Urn): void;
  clone(): Targets;
}

export function createTargets(patterns: string[], added: Iterable<Urn> = []): Targets {
  const named = new Set(patterns.filter((pattern) => !pattern.includes("*")));
  const globs = patterns.filter((pattern) => pattern.includes("*")).map(globToRegExp);
  const extra = new Set(added);
  const constrained = patterns.length > 0;
  return {
    constrained,
    contains: (urn) => !constrained || named.has(urn) || extra.has(urn) || globs.some((glob) => glob.test(urn)),
    literals: () => [...named],
    add(urn) {
      if (constrained) extra.add(urn);
    },
    clone: () => createTargets(patterns, extra),
  };
}

function globToRegExp(glob: string): RegExp {
  const parts = glob.split("**").map((part) => part.split("*").map(quote).join("[^:]*"));
  return new RegExp(`^${parts.join(".*")}$`, "s");
}

const quote = (text: string): string => text.replace(/[\\^$.|?*+()[\]{}]/g, "\\$&");
