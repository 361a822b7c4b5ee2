/** The server's system is one that is known to work. */
import { unsupported } from "../components/vm/machine.ts";
import { factsCheck } from "./vm-subject.ts";

export const vmSystem = factsCheck("system and architecture", (facts) => {
  const why = unsupported(facts);
  return why ? [{ level: "error", message: why }] : [];
});
