/** The engine's own commands, with this clone's backend, passphrase and stack. */
import { runEngine } from "./engine.ts";
import { prepareStack } from "./prepare.ts";
import { findWorkplace, prepareWorkplace } from "./workplace.ts";

export async function passThrough(name: string, args: string[]): Promise<number> {
  const workplace = findWorkplace(args);
  // `stack init` and `stack ls` are about stacks that may not exist; everything else works on one that does.
  const needsStack = !(name === "stack" && ["init", "ls", "select"].includes(args[0] ?? "")) && name !== "pulumi";
  if (needsStack) await prepareStack(workplace);
  else prepareWorkplace(workplace);
  return runEngine(workplace, [name, ...args]);
}
