/** What providers answer: calls that older ones do not know, failed initialisations, diffs. */
import { type DiffResponse, ProviderError } from "./providers/provider.ts";
import type { Diff } from "./resource-operations.ts";
import type { PropertyMap } from "./values.ts";

/** Undefined where the provider is older than the call. */
export async function tolerate<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof ProviderError && error.code === "unimplemented") return undefined;
    throw error;
  }
}

interface RawResult {
  id?: string;
  properties?: PropertyMap;
  inputs?: PropertyMap;
  refreshBeforeUpdate?: boolean;
}

/** A failed initialisation is a result too: the resource exists and must be kept. */
export async function partially(
  call: () => Promise<RawResult>,
  fallback: PropertyMap | undefined,
): Promise<RawResult & { partial?: ProviderError }> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof ProviderError) || !error.partial) throw error;
    const { id, properties, inputs } = error.partial;
    const kept = properties ?? fallback;
    return { id, ...(kept && { properties: kept }), ...(inputs && { inputs }), partial: error };
  }
}

export function diffResult(response: DiffResponse): Diff {
  const changes = response.changes === "DIFF_NONE" ? "none" : response.changes === "DIFF_SOME" ? "some" : "unknown";
  return {
    changes,
    replaceKeys: response.replaces ?? [],
    changedKeys: response.diffs ?? [],
    stableKeys: response.stables ?? [],
    deleteBeforeReplace: response.deleteBeforeReplace ?? false,
    ...(response.hasDetailedDiff && { detailedDiff: response.detailedDiff ?? {} }),
  };
}
