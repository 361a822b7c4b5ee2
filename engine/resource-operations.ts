/** The operations on resources as the deployment logic calls them, whether a provider or the registry of providers answers. */
import type { CheckFailure, PropertyDiff, ProviderError } from "./providers/provider.ts";
import type { Urn } from "./resource.ts";
import type { PropertyMap } from "./values.ts";

export interface CheckCall {
  urn: Urn;
  olds?: PropertyMap;
  news: PropertyMap;
  randomSeed?: string;
}
export interface CheckResult {
  inputs: PropertyMap;
  failures: CheckFailure[];
}
export interface DiffCall {
  urn: Urn;
  id: string;
  oldInputs: PropertyMap;
  oldOutputs: PropertyMap;
  newInputs: PropertyMap;
  ignoreChanges: string[];
}
export interface Diff {
  changes: "none" | "some" | "unknown";
  replaceKeys: string[];
  changedKeys: string[];
  stableKeys: string[];
  deleteBeforeReplace: boolean;
  detailedDiff?: { [path: string]: PropertyDiff };
  /** Set where the provider could not be asked; for the user. */
  unavailable?: string;
}
export interface CreateCall {
  urn: Urn;
  inputs: PropertyMap;
  timeout?: number;
}
/** What an operation left behind; `partial` where the resource exists but its initialisation failed. */
export interface Written {
  id: string;
  outputs: PropertyMap;
  refreshBeforeUpdate?: boolean;
  partial?: ProviderError;
}
export interface ReadCall {
  urn: Urn;
  id: string;
  inputs?: PropertyMap;
  state?: PropertyMap;
  timeout?: number;
}
export interface ReadResult {
  id: string;
  /** Absent: there is no such resource. */
  outputs?: PropertyMap;
  /** Absent: the provider does not say. */
  inputs?: PropertyMap;
  refreshBeforeUpdate?: boolean;
  partial?: ProviderError;
}
export interface UpdateCall {
  urn: Urn;
  id: string;
  oldInputs: PropertyMap;
  oldOutputs: PropertyMap;
  newInputs: PropertyMap;
  timeout?: number;
  ignoreChanges: string[];
}
export interface DeleteCall {
  urn: Urn;
  id: string;
  inputs: PropertyMap;
  outputs: PropertyMap;
  timeout?: number;
}

/** What acts on resources: a provider, or the registry for provider resources themselves. */
export interface ResourceOperations {
  check(call: CheckCall): Promise<CheckResult>;
  diff(call: DiffCall): Promise<Diff>;
  create(call: CreateCall): Promise<Written>;
  read(call: ReadCall): Promise<ReadResult>;
  update(call: UpdateCall): Promise<Written>;
  delete(call: DeleteCall): Promise<void>;
}

export const noDiff: Diff = {
  changes: "none",
  replaceKeys: [],
  changedKeys: [],
  stableKeys: [],
  deleteBeforeReplace: false,
};
