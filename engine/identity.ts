/** Which resource a registration means: its URN in this deployment, and the old state that it continues. */
import { aliasUrns } from "./aliases.ts";
import type { Cell } from "./dependency-graph.ts";
import { type RegisterDeps, ReportedError } from "./register.ts";
import { makeUrn, type Urn } from "./resource.ts";
import type { Alias } from "./source.ts";

export interface Identity {
  /** The URN of a new registration; a second one of the same is refused. */
  claim(parent: Urn | undefined, type: string, name: string): Urn;
  /** The old state under the resource's URN or one of its aliases. */
  findOld(
    urn: Urn,
    resource: { name: string; type: string; parent?: Urn; aliases: Alias[] },
  ): { old?: Cell; alias?: Urn; invalid: boolean };
  /** Tells the user what is wrong and ends the registration. */
  report(message: string, urn: Urn): never;
}

export function createIdentity(deps: RegisterDeps): Identity {
  const { ledger, registry, say } = deps;

  function report(message: string, urn: Urn): never {
    say("error", message, urn);
    throw new ReportedError(message);
  }

  function claim(parent: Urn | undefined, type: string, name: string): Urn {
    if (parent && !ledger.urns.has(parent)) throw new Error(`could not find parent resource ${parent}`);
    const urn = makeUrn(deps.stack, deps.project, parent, type, name);
    if (ledger.urns.has(urn)) report(`Duplicate resource URN '${urn}'; try giving it a unique name`, urn);
    ledger.urns.add(urn);
    return urn;
  }

  function findOld(
    urn: Urn,
    resource: { name: string; type: string; parent?: Urn; aliases: Alias[] },
  ): ReturnType<Identity["findOld"]> {
    let invalid = false;
    const claimedBy = ledger.aliased.get(urn);
    if (claimedBy !== undefined) {
      invalid = true;
      say("error", `Duplicate resource URN '${urn}' conflicting with alias on resource with URN '${claimedBy}'`, urn);
    }
    const scope = { stack: deps.stack, project: deps.project, usedAlias: (parent: Urn) => ledger.aliases.get(parent) };
    for (const candidate of [urn, ...aliasUrns(resource, scope)]) {
      const old = ledger.old.byUrn.get(candidate);
      if (!old) continue;
      if (candidate === urn) return { old, invalid };
      const rival = ledger.urns.has(candidate) ? urn : ledger.aliased.get(candidate);
      if (rival !== undefined) {
        invalid = true;
        const text = `Duplicate resource alias '${candidate}' applied to resource with URN '${urn}' conflicting with resource with URN '${rival}'`;
        say("error", text, urn);
      }
      ledger.aliased.set(candidate, urn);
      ledger.aliases.set(urn, candidate);
      registry.registerAlias(urn, candidate);
      return { old, invalid, alias: candidate };
    }
    return { invalid };
  }

  return { claim, findOld, report };
}
