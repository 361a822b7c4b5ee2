/** The server is reached: it answers, has the key of the stack file, lets us in, and sudo asks for nothing. */
import type { SshProblem } from "../components/vm/ssh.ts";
import type { Check } from "./check.ts";
import { lookAtServer } from "./vm-subject.ts";

type Stage = SshProblem["stage"];
/** In the order in which a connection comes to them. */
const order: Stage[] = ["reach", "host-key", "login", "sudo"];

const reachCheck = (name: string, stages: Stage[]): Check => ({
  name,
  /** What comes after the first problem was not come to. */
  async looked(subject) {
    const server = await lookAtServer(subject);
    const end = server?.problem?.stage;
    const come = (stage: Stage): boolean =>
      end === undefined || end === "session" || order.indexOf(stage) <= order.indexOf(end);
    return server !== undefined && (server.facts ?? server.problem) !== undefined && stages.every(come);
  },
  async run(subject) {
    const problem = (await lookAtServer(subject))?.problem;
    return problem && stages.includes(problem.stage) ? [{ level: "error", message: problem.message }] : [];
  },
});

export const vmReach = reachCheck("SSH", ["reach", "login", "session"]);
export const vmHostKey = reachCheck("host key", ["host-key"]);
export const vmSudo = reachCheck("sudo", ["sudo"]);
