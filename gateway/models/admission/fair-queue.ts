// Requests that wait for a place: shared by weight between priorities, evenly between tokens, in order of arrival within one.
import type { Priority } from "../../config/admission.ts";

export interface Waiting {
  /** The token. */
  readonly caller: string;
  readonly priority: Priority;
  /** Requests that the same upstreams may answer wait in one lane. */
  readonly lane: string;
  /** Takes a place if there is one for it. False: there is none, also not for those behind it in its lane. */
  takePlace(): boolean;
  /** It has a place, and waits no more. */
  go(): void;
}

export interface FairQueue {
  readonly length: number;
  lengthOf(priority: Priority): number;
  waitsIn(lane: string): boolean;
  push(waiting: Waiting): void;
  /** It left, or waited long enough. False: it was not waiting any more. */
  remove(waiting: Waiting): boolean;
  /** A place may have become free: lets go who may. */
  pump(): void;
  /** Of the places that become free, this many are given to others before one that comes now; a fraction where priorities share. */
  ahead(lane: string, caller: string, priority: Priority): number;
}

/** A place given to it moves its pass on: by 1 a token, by 1/weight a priority. The lowest goes next. */
interface Flow {
  pass: number;
  count: number;
}

interface Class {
  readonly flow: Flow;
  readonly callers: Map<string, Flow>;
  /** Pass of the caller that was served last: who comes back does not catch up on what it did not ask for. */
  floor: number;
}

/** callers of one priority in one lane, each with its requests in order of arrival. */
type Line = Map<string, Waiting[]>;

export function createFairQueue(weightOf: (priority: Priority) => number): FairQueue {
  const classes = new Map<Priority, Class>();
  const lanes = new Map<string, Map<Priority, Line>>();
  let length = 0;
  let classFloor = 0;
  let pumping = false;
  let again = false;

  function classOf(priority: Priority): Class {
    let found = classes.get(priority);
    if (!found) {
      found = { flow: { pass: 0, count: 0 }, callers: new Map(), floor: 0 };
      classes.set(priority, found);
    }
    return found;
  }

  /** A priority's pass once it has been served again: of equal ones the weightier goes first. */
  const after = (priority: Priority): number => classOf(priority).flow.pass + 1 / weightOf(priority);

  /** Who goes next of a lane: the priority, then the token, that had least of its share. */
  function headOf(lane: Map<Priority, Line>): Waiting | undefined {
    let best: Line | undefined;
    let bestPriority: Priority | undefined;
    for (const [priority, line] of lane) {
      if (bestPriority !== undefined && after(priority) >= after(bestPriority)) continue;
      best = line;
      bestPriority = priority;
    }
    if (!best || bestPriority === undefined) return undefined;
    const { callers } = classOf(bestPriority);
    let head: Waiting | undefined;
    let lowest = Number.POSITIVE_INFINITY;
    for (const [caller, requests] of best) {
      const pass = callers.get(caller)?.pass ?? 0;
      if (pass >= lowest) continue;
      lowest = pass;
      head = requests[0];
    }
    return head;
  }

  function before(one: Waiting, other: Waiting): boolean {
    if (one.priority !== other.priority) return after(one.priority) < after(other.priority);
    const { callers } = classOf(one.priority);
    return (callers.get(one.caller)?.pass ?? 0) < (callers.get(other.caller)?.pass ?? 0);
  }

  function take(waiting: Waiting): boolean {
    const line = lanes.get(waiting.lane)?.get(waiting.priority);
    const requests = line?.get(waiting.caller);
    const at = requests?.indexOf(waiting) ?? -1;
    if (!line || !requests || at < 0) return false;
    requests.splice(at, 1);
    if (requests.length === 0) line.delete(waiting.caller);
    if (line.size === 0) lanes.get(waiting.lane)?.delete(waiting.priority);
    if (lanes.get(waiting.lane)?.size === 0) lanes.delete(waiting.lane);
    const own = classOf(waiting.priority);
    const flow = own.callers.get(waiting.caller);
    length -= 1;
    own.flow.count -= 1;
    if (!flow) return true;
    flow.count -= 1;
    // Callers may be many: only those that wait, or are ahead of the others, are kept.
    if (flow.count === 0 && flow.pass <= own.floor) own.callers.delete(waiting.caller);
    return true;
  }

  /** It got its place, and pays for it. */
  function pay(waiting: Waiting): void {
    const own = classOf(waiting.priority);
    classFloor = Math.max(classFloor, own.flow.pass);
    own.flow.pass += 1 / weightOf(waiting.priority);
    const flow = own.callers.get(waiting.caller);
    if (!flow) return;
    own.floor = Math.max(own.floor, flow.pass);
    flow.pass += 1;
    for (const [caller, one] of own.callers) if (one.count === 0 && one.pass <= own.floor) own.callers.delete(caller);
  }

  function pumpOnce(): void {
    const blocked = new Set<string>();
    for (;;) {
      let next: Waiting | undefined;
      for (const [name, lane] of lanes) {
        if (blocked.has(name)) continue;
        const head = headOf(lane);
        if (head && (!next || before(head, next))) next = head;
      }
      if (!next) return;
      if (!next.takePlace()) {
        blocked.add(next.lane);
        continue;
      }
      pay(next);
      take(next);
      next.go();
    }
  }

  return {
    get length() {
      return length;
    },
    lengthOf: (priority) => classes.get(priority)?.flow.count ?? 0,
    waitsIn: (lane) => lanes.has(lane),
    push(waiting) {
      const { caller, priority, lane } = waiting;
      const own = classOf(priority);
      if (own.flow.count === 0) own.flow.pass = Math.max(own.flow.pass, classFloor);
      const flow = own.callers.get(caller) ?? { pass: own.floor, count: 0 };
      own.callers.set(caller, flow);
      if (flow.count === 0) flow.pass = Math.max(flow.pass, own.floor);
      flow.count += 1;
      own.flow.count += 1;
      length += 1;
      const lines = lanes.get(lane) ?? new Map<Priority, Line>();
      lanes.set(lane, lines);
      const line: Line = lines.get(priority) ?? new Map();
      lines.set(priority, line);
      const requests = line.get(caller);
      if (requests) requests.push(waiting);
      else line.set(caller, [waiting]);
    },
    remove: take,
    pump() {
      // A request that goes may free a place at once, by failing: that is for the same round, not for one within it.
      again = true;
      if (pumping) return;
      pumping = true;
      try {
        while (again) {
          again = false;
          pumpOnce();
        }
      } finally {
        pumping = false;
      }
    },
    ahead(lane, caller, priority) {
      const lines = lanes.get(lane);
      if (!lines) return 0;
      const own = lines.get(priority);
      const mine = own?.get(caller)?.length ?? 0;
      let inClass = mine;
      for (const [other, requests] of own ?? []) if (other !== caller) inClass += Math.min(requests.length, mine + 1);
      const weight = weightOf(priority);
      let ahead = inClass;
      for (const [other, line] of lines) {
        if (other === priority) continue;
        let waiting = 0;
        for (const requests of line.values()) waiting += requests.length;
        ahead += Math.min(waiting, ((inClass + 1) * weightOf(other)) / weight);
      }
      return ahead;
    },
  };
}
