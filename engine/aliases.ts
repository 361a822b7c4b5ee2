/** Under which older URNs a resource may be found: its own aliases and those that it inherits from a renamed parent. */
import { makeUrn, parseUrn, stackType, type Urn } from "./resource.ts";
import type { Alias } from "./source.ts";

export interface AliasedResource {
  name: string;
  type: string;
  parent?: Urn;
  aliases: Alias[];
}

export interface AliasScope {
  stack: string;
  project: string;
  /** The URN under which a resource of this deployment was found, where that was an alias. */
  usedAlias(urn: Urn): Urn | undefined;
}

/** In the order in which they are tried. */
export function aliasUrns({ name, type, parent, aliases }: AliasedResource, scope: AliasScope): Urn[] {
  const own = aliases.map((alias) => collapse(alias, { name, type, parent }, scope));
  const parentAlias = parent === undefined ? undefined : scope.usedAlias(parent);
  if (parent === undefined || parentAlias === undefined) return [...new Set(own)];
  const parentName = parseUrn(parent).name;
  const inherit = (childType: string, childName: string) => inherited(childType, childName, parentName, parentAlias, scope);
  const viaParent = own.map((urn) => {
    const child = parseUrn(urn);
    return inherit(child.type, child.name);
  });
  return [...new Set([...own, inherit(type, name), ...viaParent])];
}

function collapse(alias: Alias, resource: { name: string; type: string; parent?: Urn }, scope: AliasScope): Urn {
  if (alias.urn) return alias.urn;
  let parent = alias.parent ? (scope.usedAlias(alias.parent) ?? alias.parent) : resource.parent;
  if (alias.noParent || (parent && parseUrn(parent).qualifiedType === stackType)) parent = undefined;
  return makeUrn(
    alias.stack || scope.stack,
    alias.project || scope.project,
    parent,
    alias.type || resource.type,
    alias.name || resource.name,
  );
}

/** A child named after its parent is taken to have been named after the parent's older name then. */
function inherited(type: string, name: string, parentName: string, parentAlias: Urn, scope: AliasScope): Urn {
  const older = name.startsWith(parentName) ? parseUrn(parentAlias).name + name.slice(parentName.length) : name;
  return makeUrn(scope.stack, scope.project, parentAlias, type, older);
}
