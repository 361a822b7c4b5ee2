/** The first run: the stack file is made from the example, with what was found on this machine written into it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { freePort, portHolder } from "../doctor/port-holder.ts";
import { root } from "../places.ts";
import { detectModelServers } from "./model-servers.ts";
import { type AgreedKey, offerPaidKey } from "./paid-key.ts";
import { chooseModelServer, choosePort, parseStackFile } from "./stack-file.ts";
import type { Workplace } from "./workplace.ts";

/** Resolves with the key that is to be stored once the stack exists, where one was agreed on. */
export async function createStackFile(workplace: Workplace): Promise<AgreedKey | undefined> {
  const document = parseStackFile(readFileSync(join(root, "stacks/examples/local.yaml"), "utf8"));
  const shown = relative(root, workplace.stackFile);
  const say = (text: string): void => console.error(text);
  say(`First run: making ${shown} from stacks/examples/local.yaml`);

  const port = document.port;
  if (portHolder(port) || !(await freePort("127.0.0.1", port))) {
    const other = await nextFreePort(port + 1);
    choosePort(document, other, `${port} was taken when this file was made`);
    say(`  port        ${port} is taken${describeHolder(port)}; this gateway gets ${other}`);
  }
  const found = await detectModelServers();
  const [first] = found;
  let agreed: AgreedKey | undefined;
  if (first) {
    chooseModelServer(document, first);
    say(`  models      ${first.name} at ${first.baseUrl} (${first.models.length} models; default ${first.models[0]})`);
    for (const other of found.slice(1))
      say(`              ${other.name} at ${other.baseUrl} is here too: add it in ${shown} if you like`);
  } else {
    agreed = await offerPaidKey(document);
    if (agreed) {
      say(`  models      ${agreed.shown}`);
    } else {
      say("  models      no model server answers on this machine, so the gateway gives demonstration answers");
      say(`              (looked for Ollama, vLLM, LM Studio and llama.cpp; add a provider in ${shown} at any time)`);
    }
  }
  writeFileSync(workplace.stackFile, document.toString(), { flag: "wx" });
  return agreed;
}

async function nextFreePort(from: number): Promise<number> {
  for (let port = from; port < from + 200; port++) if (await freePort("127.0.0.1", port)) return port;
  return from;
}

function describeHolder(port: number): string {
  const holder = portHolder(port);
  return holder ? ` by ${holder}` : "";
}
