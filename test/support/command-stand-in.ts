/** Runs one command as the engine does, says so on its output, and waits to be killed. */
import { createGuardian } from "../../engine/guardian.ts";
import { createCommandProvider } from "../../engine/providers/command/provider.ts";

const [folder = "", command = ""] = process.argv.slice(2);
const provider = createCommandProvider({ programDirectory: folder, guardian: createGuardian(), log() {} });
const urn = "urn:pulumi:dev::p::command:local:Command::x";
const running = provider.create({ urn, properties: { create: command } }, new AbortController().signal);
console.log("running");
await running;
