/** What must hold for a state before it is used, as the CLI checks it (Snapshot.VerifyIntegrity). */
import { type Deployment, magicOf } from "./checkpoint.ts";
import { EngineError } from "./errors.ts";
import type { Snapshot, Urn } from "./resource.ts";

/** Throws with the CLI's reason, the file and what to do. */
export function verifySnapshot(path: string, deployment: Deployment, snapshot: Snapshot): void {
  const fail = (why: string): never => {
    throw new EngineError(
      `${path}: snapshot integrity failure; refusing to use it: ${why}\n  Restore the file from the folder \`.pulumi/backups\`, or repair it with \`pulumi stack export\` and \`pulumi stack import\``,
    );
  };
  const { manifest } = deployment;
  if (manifest.magic !== magicOf(manifest.version)) fail("magic cookie mismatch; possible tampering/corruption detected");
  const problem = findProblem(snapshot);
  if (problem) fail(problem);
}

/** The first thing that is wrong with the resources' order and references; undefined where all is well. */
export function findProblem(snapshot: Snapshot): string | undefined {
  const seen = new Map<Urn, { live: number }>();
  const providers = new Set<string>();
  const later = (urn: Urn): boolean => snapshot.resources.some((resource) => resource.urn === urn);
  for (const resource of snapshot.resources) {
    const { urn } = resource;
    if (resource.type.startsWith("pulumi:providers:")) providers.add(`${urn}::${resource.id ?? ""}`);
    if (resource.provider && !providers.has(resource.provider) && !resource.pendingReplacement) {
      return `resource ${urn} refers to unknown provider ${resource.provider}`;
    }
    if (resource.parent && !seen.has(resource.parent)) {
      return later(resource.parent)
        ? `child resource ${urn}'s parent ${resource.parent} comes after it`
        : `child resource ${urn} refers to missing parent ${resource.parent}`;
    }
    for (const dependency of resource.dependencies ?? []) {
      if (seen.has(dependency)) continue;
      return `resource ${urn}'s dependency ${dependency} ${later(dependency) ? "comes after it" : "refers to missing resource"}`;
    }
    for (const [property, dependencies] of Object.entries(resource.propertyDependencies ?? {})) {
      for (const dependency of dependencies ?? []) {
        if (seen.has(dependency)) continue;
        const what = `resource ${urn}'s property dependency ${dependency} (from property ${property})`;
        return `${what} ${later(dependency) ? "comes after it" : "refers to missing resource"}`;
      }
    }
    const { deletedWith } = resource;
    if (deletedWith && !seen.has(deletedWith)) {
      return `resource ${urn} is specified as being deleted with ${deletedWith}, which ${later(deletedWith) ? "comes after it" : "is missing"}`;
    }
    for (const other of resource.replaceWith ?? []) {
      if (!seen.has(other)) {
        return `resource ${urn} is specified as being replaced with ${other}, which ${later(other) ? "comes after it" : "is missing"}`;
      }
    }
    const count = seen.get(urn) ?? { live: 0 };
    if (!resource.delete) count.live++;
    if (count.live > 1) return `duplicate resource ${urn} (not marked for deletion)`;
    seen.set(urn, count);
  }
  return undefined;
}
