/** The server's system is one that is known to work. */
import { unsupported } from "../components/vm/machine.ts";
import type { Check } from "./check.ts";
import { lookAtServer, looked } from "./vm-subject.ts";

export const vmSystem: Check = {
  name: "system and architecture",
  looked,
  async run(subject) {
    const facts = (await lookAtServer(subject))?.facts;
    const why = facts && unsupported(facts);
    return why ? [{ level: "error", message: why }] : [];
  },
};
