/** `npm run releases -- -s <stack> list | rollback [id] [--data]`: the releases that are on a server, and the way back to one. */
import { systemUser } from "../components/vm/machine.ts";
import { agentLine, sudoFor } from "../components/vm/server.ts";
import { usualPaths } from "../render/system/machine.ts";
import { OperatorError } from "./operator-error.ts";
import { deployedServer } from "./server.ts";
import { findWorkplace, targetOf } from "./workplace.ts";

export const releasesHelp = `npm run releases -- -s <stack> list
npm run releases -- -s <stack> rollback [<id>] [--data]

list       the releases on the server, the newest first; * runs now
rollback   back to the one before, or to <id>, without a refused request; all data stay, since releases only add to their schema
  --data   with the databases as they were when that release was replaced: what was written since is lost, and the gateway is
           down for a moment
The next up brings the release of this clone again.`;

/** A drain may take long. */
const rollbackTimeoutMs = 600_000;

export async function releases(args: string[]): Promise<number> {
  const words = plainWords(args);
  const [command = "list", id] = words;
  if (args.includes("--help") || args.includes("-h")) {
    console.log(releasesHelp);
    return 0;
  }
  if (command !== "list" && command !== "rollback")
    throw new OperatorError(`there is no command "releases ${command}"\n\n${releasesHelp}`);
  const workplace = findWorkplace(args);
  if (targetOf(workplace) !== "vm") {
    throw new OperatorError(`the stack ${workplace.stack} is not on a server: releases are kept by the target vm`);
  }
  const { vm, facts, run } = await deployedServer(workplace);
  const known = Object.entries(facts.releases).flatMap(([release, { at }]) => (at === "missing" ? [] : [{ release, at }]));
  known.sort((a, b) => b.at - a.at);
  if (command === "list") {
    if (known.length === 0) console.log("There is no release on the server yet.");
    for (const { release, at } of known) {
      console.log(`${release === facts.current ? "*" : " "} ${release}  since ${new Date(at * 1000).toISOString()}`);
    }
    return 0;
  }
  const chosen = id ?? known.find(({ release }) => release !== facts.current)?.release;
  if (chosen === undefined) throw new OperatorError("there is no other release on the server to go back to");
  if (!known.some(({ release }) => release === chosen)) {
    throw new OperatorError(
      `there is no release ${chosen} on the server; there are: ${known.map(({ release }) => release).join(", ")}`,
    );
  }
  if (chosen === facts.current && !args.includes("--data")) throw new OperatorError(`${chosen} runs already`);
  const host = { sudo: sudoFor(vm.user), installation: facts.installation ?? "" };
  const data = args.includes("--data") ? "data" : "";
  const line = agentLine(host, ["rollback", chosen, String(vm.keepReleases), usualPaths.state, systemUser, data]);
  const { code, stderr } = await run(line, { timeoutMs: rollbackTimeoutMs });
  if (code !== 0) throw new OperatorError(`the rollback to ${chosen} failed:\n${stderr.trim()}`, 1);
  console.log(
    `${chosen} runs${data ? ", with the data of its last moment" : ""}. The next up brings the release of this clone again.`,
  );
  return 0;
}

/** Without options, and without the stack's name. */
function plainWords(args: string[]): string[] {
  return args.filter((word, index) => !word.startsWith("-") && !["-s", "--stack"].includes(args[index - 1] ?? ""));
}
