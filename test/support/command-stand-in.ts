/** Runs some commands and then one that lasts, as the engine does, says so on its output, and waits to be killed. */
import { createGuardian } from "../../engine/guardian.ts";
import { createCommandProvider } from "../../engine/providers/command/provider.ts";

const [folder = "", command = "", before = "0"] = process.argv.slice(2);
const provider = createCommandProvider({ programDirectory: folder, guardian: createGuardian(), log() {} });
const urn = "urn:pulumi:dev::p::command:local:Command::x";
for (let i = 0; i < Number(before); i++)
  await provider.create({ urn, properties: { create: "true" } }, new AbortController().signal);
const running = provider.create({ urn, properties: { create: command } }, new AbortController().signal);
console.log("running");
await running;
