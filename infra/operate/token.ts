/** `npm run -s token`: prints the gateway's token, for use in a pipe or a command substitution. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runEngine } from "./engine.ts";
import { OperatorError } from "./operator-error.ts";
import { defaultStack, findWorkplace, type Workplace } from "./workplace.ts";

/** `--header` prints the whole header, for `curl -H @-`. */
export async function showToken(args: string[]): Promise<number> {
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
