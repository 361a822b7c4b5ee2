/** The server is reached: it answers, has the key of the stack file, lets us in, and sudo asks for nothing. */
import type { SshProblem } from "../components/vm/ssh.ts";
import type { Check } from "./check.ts";
import { lookAtServer } from "./vm-subject.ts";

const reachCheck = (name: string, stages: SshProblem["stage"][]): Check => ({
  name,
  async run(subject) {
    const problem = (await lookAtServer(subject))?.problem;
    return problem && stages.includes(problem.stage) ? [{ level: "error", message: problem.message }] : [];
  },
});

export const vmReach = reachCheck("SSH", ["reach", "login", "session"]);
export const vmHostKey = reachCheck("host key", ["host-key"]);
export const vmSudo = reachCheck("sudo", ["sudo"]);
