/** `npm run destroy`: takes the deployment away and says what is left and why. `--remove` takes that as well. */
import { existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "../places.ts";
import { removeReleases } from "../release/index.ts";
import { runEngine } from "./engine.ts";
import { prepareStack } from "./prepare.ts";
import { defaultStack, findWorkplace, type Workplace } from "./workplace.ts";

export async function destroy(args: string[]): Promise<number> {
  const workplace = findWorkplace(args);
  const local = workplace.stack === defaultStack;
  const remove = args.includes("--remove");
  if (local && workplace.checkpoint && !existsSync(workplace.checkpoint)) {
    console.log("Nothing is deployed.");
    if (remove) removeRest(workplace);
    return 0;
  }
  await prepareStack(workplace);
  const consent = local && !args.some((argument) => ["--yes", "-y"].includes(argument)) ? ["--yes"] : [];
  const code = await runEngine(workplace, ["destroy", ...consent, ...args.filter((argument) => argument !== "--remove")]);
  if (
    code !== 0 ||
    !local ||
    args.some((argument) => argument === "--target" || argument.startsWith("--target=") || argument === "-t")
  ) {
    return code;
  }
  // Another stack of this clone that needs one makes it again.
  removeReleases(workplace.clone);
  if (remove) {
    const removed = await runEngine(workplace, ["stack", "rm", "--yes", "--stack", workplace.stack]);
    if (removed !== 0) return removed;
    removeRest(workplace);
    return 0;
  }
  const kept = existsSync(workplace.places.data) ? `\n  ${workplace.places.data} (the gateway's data: keepData is set)` : "";
  console.log(
    `\nNo process and no file of the gateway is left. Kept for a later \`npm run up\`:${kept}\n` +
      `  ${relative(root, workplace.stackFile)} (your settings)\n  ${workplace.clone} (history of the stack, and the passphrase that your settings' secrets need)\n` +
      "To remove these too: npm run destroy -- --remove",
  );
  return 0;
}

/** Passphrase and history go with the last stack only: other stacks of this clone may need them. */
function removeRest(workplace: Workplace): void {
  rmSync(workplace.stackFile, { force: true });
  const stacks = join(workplace.clone, "state", ".pulumi", "stacks", "openclaw-stack");
  const others = existsSync(stacks) ? readdirSync(stacks).filter((name) => name.endsWith(".json")) : [];
  if (others.length > 0 || existsSync(workplace.places.data)) return;
  rmSync(workplace.clone, { recursive: true, force: true });
  try {
    rmdirSync(join(workplace.clone, ".."));
  } catch {
    // Other clones lie there.
  }
  console.log(`Removed ${relative(root, workplace.stackFile)} and ${workplace.clone}`);
}
