/** Which resources exist by now: a function call waits for the resources that it depends on, and is unknown without them. */
import type { Urn } from "../resource.ts";

export interface Tracker {
  /** A registration beneath `parent` begins; call what is returned when it has ended. */
  begin(parent: Urn | undefined): () => void;
  settle(urn: Urn, parent: Urn | undefined, custom: boolean, exists: boolean): void;
  /** True where a custom resource among these, or beneath a component among these, does not exist (a preview's creations). */
  hasUnresolved(roots: Urn[]): Promise<boolean>;
}

export function createTracker(): Tracker {
  const resources = new Map<Urn, { custom: boolean; exists: boolean }>();
  const children = new Map<Urn, Urn[]>();
  const inFlight = new Map<Urn, number>();
  let waiting: (() => void)[] = [];

  function wake(): void {
    const woken = waiting;
    waiting = [];
    for (const resume of woken) resume();
  }

  /** The components among and beneath the roots; undefined where a custom resource does not exist. */
  function expand(roots: Urn[]): Set<Urn> | undefined {
    const components = new Set<Urn>();
    const frontier = [...roots];
    for (let urn = frontier.pop(); urn !== undefined; urn = frontier.pop()) {
      const resource = resources.get(urn);
      if (!resource || components.has(urn)) continue;
      if (!resource.custom) {
        components.add(urn);
        frontier.push(...(children.get(urn) ?? []));
      } else if (!resource.exists) return undefined;
    }
    return components;
  }

  return {
    begin(parent) {
      const key = parent ?? "";
      inFlight.set(key, (inFlight.get(key) ?? 0) + 1);
      return () => {
        const left = (inFlight.get(key) ?? 1) - 1;
        if (left === 0) inFlight.delete(key);
        else inFlight.set(key, left);
        wake();
      };
    },
    settle(urn, parent, custom, exists) {
      if (!resources.has(urn) && parent !== undefined) {
        const siblings = children.get(parent);
        if (siblings) siblings.push(urn);
        else children.set(parent, [urn]);
      }
      resources.set(urn, { custom, exists });
      wake();
    },
    async hasUnresolved(roots) {
      for (;;) {
        const components = expand(roots);
        if (!components) return true;
        if (![...inFlight.keys()].some((parent) => components.has(parent))) return false;
        await new Promise<void>((resume) => waiting.push(resume));
      }
    },
  };
}
