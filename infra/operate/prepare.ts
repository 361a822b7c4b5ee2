/** What the stack `local` needs before the engine can run: its files, and on the first run the choices that a user did not make. */
import { existsSync } from "node:fs";
import { askEngine } from "./engine.ts";
import { createStackFile } from "./first-run.ts";
import { OperatorError } from "./operator-error.ts";
import { defaultStack, prepareWorkplace, type Workplace } from "./workplace.ts";

/** Other stacks are made by their owner, with `stack init` and a stack file under version control. */
export async function prepareStack(workplace: Workplace): Promise<void> {
  prepareWorkplace(workplace);
  if (workplace.stack !== defaultStack) return;
  const agreed = existsSync(workplace.stackFile) ? undefined : await createStackFile(workplace);
  if (!agreed && workplace.checkpoint && existsSync(workplace.checkpoint)) return;
  const made = await askEngine(workplace, ["stack", "select", "--create", "--stack", workplace.stack]);
  if (made.code !== 0)
    throw new OperatorError(`the stack ${workplace.stack} could not be made:\n${(made.stderr || made.stdout).trim()}`);
  if (!agreed) return;
  // By standard input: arguments are seen by everybody on the machine.
  const stored = await askEngine(
    workplace,
    ["config", "set", "--secret", agreed.setting, "--stack", workplace.stack],
    agreed.key,
  );
  if (stored.code !== 0)
    throw new OperatorError(`${agreed.setting} could not be stored:\n${(stored.stderr || stored.stdout).trim()}`);
}
