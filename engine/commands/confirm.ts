/** Asks before something is lost. */
import { EngineError } from "../errors.ts";
import type { CommandContext } from "./context.ts";

/** The user types `answer` to go on; anything else ends the command. */
export async function confirm(context: CommandContext, warning: string, answer: string): Promise<void> {
  if (!context.ask) throw new EngineError("non-interactive mode requires --yes flag");
  const typed = await context.ask(`${warning}\nPlease confirm that this is what you'd like to do by typing \`${answer}\`:`);
  if (typed.trim() !== answer) throw new EngineError("confirmation declined");
}
