/** `cancel`: takes the locks of a stack away. */
import { clearLocks } from "../locks.ts";
import { openWorkspace, requireStack } from "../stack.ts";
import { confirm } from "./confirm.ts";
import type { CommandContext } from "./context.ts";

/** `name` is the stack named as an argument, otherwise `--stack` or the selected one. */
export async function cancelUpdate(context: CommandContext, options: { name?: string; yes?: boolean }): Promise<void> {
  const workspace = await openWorkspace({ cwd: context.cwd, env: context.env, ask: context.askHidden });
  const ref = await requireStack(workspace, options.name ?? context.stack, { offerNew: false });
  if (context.interactive && !options.yes) {
    await confirm(context, `This will irreversibly cancel the currently running update for '${ref.name}'!`, ref.name);
  }
  await clearLocks(workspace.backend, ref);
  context.out(`The currently running update for '${ref.name}' has been canceled!\n`);
}
