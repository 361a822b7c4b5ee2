/** References to providers (`<urn>::<id>`), and what the names of provider resources say. */
import { parseUrn, type Urn } from "./resource.ts";

export interface ProviderReference {
  urn: Urn;
  id: string;
}

export function parseReference(reference: string): ProviderReference {
  const at = reference.lastIndexOf("::");
  if (at < 0 || !reference.startsWith("urn:pulumi:")) {
    throw new Error(`provider "${reference}" is not of the form <urn>::<id>`);
  }
  return { urn: reference.slice(0, at), id: reference.slice(at + 2) };
}

export const formatReference = ({ urn, id }: ProviderReference): string => `${urn}::${id}`;

const providerPrefix = "pulumi:providers:";

export const isProviderType = (type: string): boolean => type.startsWith(providerPrefix);

/** The package that a provider resource is for. */
export const providerPackage = (type: string): string => type.slice(providerPrefix.length);

/** True for the providers that the engine makes by itself; they are not shown to the user. */
export function isDefaultProvider(urn: Urn): boolean {
  const { type, name } = parseUrn(urn);
  return isProviderType(type) && (name === "default" || name.startsWith("default_"));
}
