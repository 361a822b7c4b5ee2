// How urgent a request is: as its token says, or less where the request itself says so.
import { type Priority, prioritySchema } from "../../config/admission.ts";
import { GatewayError } from "../../errors.ts";

/** May only lower what the token has. */
export const priorityHeader = "x-openclaw-priority";

const rank: Readonly<Record<Priority, number>> = { batch: 0, normal: 1, interactive: 2 };

/** Throws GatewayError `invalid_request` for a word that is no priority, whether anybody has to wait or not. */
export function checkPriority(header: string | string[] | undefined): void {
  if (header !== undefined) read(header);
}

export function priorityOf(header: string | string[] | undefined, ofToken: Priority): Priority {
  if (header === undefined) return ofToken;
  const asked = read(header);
  return rank[asked] < rank[ofToken] ? asked : ofToken;
}

function read(header: string | string[]): Priority {
  const asked = prioritySchema.safeParse(header);
  if (asked.success) return asked.data;
  throw new GatewayError("invalid_request", `${priorityHeader} must be interactive, normal or batch.`, {
    param: priorityHeader,
  });
}
