/** Asks whether to go on after a preview. */
import type { DeploymentOptions } from "../deployment.ts";
import type { CommandContext } from "./context.ts";

/** False for "no", for no answer at all, and where nothing can be asked. */
export async function approve(
  context: CommandContext,
  kind: DeploymentOptions["kind"],
  details: () => Promise<string>,
): Promise<boolean> {
  if (!context.ask) return false;
  const hint =
    kind === "refresh" ? "\nNo resources will be modified as part of this refresh; just your stack's state will be." : "";
  for (;;) {
    const prompt = `Do you want to perform this ${kind}?${hint}\n  yes, no or details [no]: `;
    const answer = (await context.ask(prompt)).trim().toLowerCase();
    if (answer === "yes" || answer === "y") return true;
    if (answer === "details" || answer === "d") context.out(await details());
    else if (answer === "" || answer === "no" || answer === "n") return false;
  }
}
