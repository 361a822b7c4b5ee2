/**
 * `npm run refresh`: the engine's refresh; then, for a server, what differs there from what was put there. The engine knows
 * commands that ran, not what became of their files: the server itself remembers that, and the next up puts it right.
 */
import { driftOf } from "../components/vm/facts.ts";
import { lookAtServer } from "../doctor/vm-subject.ts";
import { toSubject } from "./doctor.ts";
import { OperatorError } from "./operator-error.ts";
import { passThrough } from "./pass-through.ts";
import { findWorkplace, targetOf } from "./workplace.ts";

export async function refresh(args: string[]): Promise<number> {
  const workplace = findWorkplace(args);
  const code = await passThrough("refresh", args);
  if (code !== 0 || targetOf(workplace) !== "vm" || args.includes("--json")) return code;
  const server = await lookAtServer(toSubject(workplace));
  if (server?.problem) throw new OperatorError(server.problem.message, 1);
  if (!server?.facts) return 0;
  const drift = driftOf(server.facts);
  const watched = Object.keys(server.facts.files).length;
  if (drift.length === 0) {
    console.log(`\n${server.vm.host}: ${watched} files, the secrets, the release and the units are as they were put there.`);
    return 0;
  }
  const lines = drift.map(({ what, how }) => `  ${what} ${how}`);
  console.log(
    `\n${server.vm.host}: not as it was put there:\n${lines.join("\n")}\nnpm run up -- -s ${workplace.stack} puts it right.`,
  );
  return args.includes("--expect-no-changes") ? 1 : 0;
}
