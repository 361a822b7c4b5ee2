/** Holds a plug-in as the engine does, prints the plug-in's process id, and waits to be killed. */
import { join } from "node:path";
import { createProviderHost } from "../../engine/plugins.ts";

const [folder = "", urn = ""] = process.argv.slice(2);
const host = createProviderHost({ programDirectory: folder });
const provider = await host.load("files", "1.2.3", () => {});
await provider.configure({});
const properties = { path: join(folder, "stand-in.txt"), content: "x" };
const created = await provider.create({ urn, properties }, new AbortController().signal);
console.log(created.properties?.pid);
setInterval(() => {}, 1000);
