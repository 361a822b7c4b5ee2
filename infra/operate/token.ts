/** `npm run token`: prints the gateway's own token; with create, list, rotate or revoke, works on named tokens. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runEngine } from "./engine.ts";
import { OperatorError } from "./operator-error.ts";
import { defaultStack, findWorkplace, type Workplace } from "./workplace.ts";

export async function token(args: string[]): Promise<number> {
  const [command = "", ...rest] = args;
  if (command === "" || command.startsWith("-")) return showToken(args);
  const { namedTokens, tokenHelp } = await import("./named-tokens.ts");
  const run = namedTokens[command];
  if (!run) throw new OperatorError(`there is no command "token ${command}"\n\n${tokenHelp}`);
  return run(rest);
}

/** For use in a pipe or a command substitution. `--header` prints the whole header, for `curl -H @-`. */
async function showToken(args: string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    console.log((await import("./named-tokens.ts")).tokenHelp);
    return 0;
  }
  const workplace = findWorkplace(args);
  const token = readToken(workplace);
  if (token !== undefined) {
    process.stdout.write(args.includes("--header") ? `Authorization: Bearer ${token}\n` : `${token}\n`);
    return 0;
  }
  if (workplace.stack === defaultStack) throw new OperatorError("nothing is deployed here yet: run `npm run up` first");
  return runEngine(workplace, ["stack", "output", "token", "--show-secrets", "--stack", workplace.stack]);
}

export function readToken(workplace: Workplace): string | undefined {
  try {
    return readFileSync(join(workplace.places.secrets, "gateway-token"), "utf8").trim();
  } catch {
    return undefined;
  }
}
