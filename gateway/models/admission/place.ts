// A place for one call: what it holds of an upstream and of a provider's quota, until it leaves.
import type { GatewayError } from "../../errors.ts";
import type { CallRecord } from "../call.ts";
import type { Place } from "../gate.ts";
import type { Ticket } from "./quotas.ts";

interface Holds {
  /** Of the upstream. */
  readonly end: (whole: boolean) => void;
  readonly ticket: Ticket | undefined;
  /** Somebody else may go now. */
  readonly onLeave: () => void;
}

export function createPlace({ end, ticket, onLeave }: Holds): Place {
  let left = false;

  function leave(record: CallRecord | undefined): void {
    if (left) return;
    left = true;
    end(record?.outcome === "ok");
    if (ticket) {
      // Before others look for a place.
      if (record?.outcome === "upstream_rate_limited") ticket.refused();
      ticket.end(record !== undefined, tokensOf(record));
    }
    onLeave();
  }

  if (!ticket) return { leave };
  return {
    leave,
    adapt: (call) => ({
      ...call,
      ...(ticket.key === undefined ? {} : { key: ticket.key }),
      onHeaders: (status, header) => ticket.headers(status, header),
    }),
    /** The key was refused, not the upstream: another key, or the same one later, may do. */
    takesBlame: (error: GatewayError) => error.code === "upstream_rate_limited",
  };
}

/** Of a call that failed nobody knows what it cost: what was reserved stays reserved. */
function tokensOf(record: CallRecord | undefined): number | undefined {
  return record?.usage && record.usage.input + record.usage.output;
}
