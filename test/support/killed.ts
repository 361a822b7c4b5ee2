/** The end of a program that a test started and needs no more. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

/** Resolves when it is gone, also where it was before. */
export async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
