/** Edits of a stack file that keep its comments. */
import { type Document, isMap, isScalar, parseDocument } from "yaml";
import type { FoundModelServer } from "./model-servers.ts";
import { projectName } from "./workplace.ts";

export interface StackFile {
  document: Document.Parsed;
  port: number;
  toString(): string;
}

export function parseStackFile(text: string): StackFile {
  const document = parseDocument(text);
  const port = document.getIn(["config", `${projectName}:gateway`, "port"]);
  return { document, port: typeof port === "number" ? port : 18789, toString: () => document.toString({ lineWidth: 0 }) };
}

export function choosePort(file: StackFile, port: number, why: string): void {
  file.document.setIn(["config", `${projectName}:gateway`, "port"], port);
  const node = file.document.getIn(["config", `${projectName}:gateway`, "port"], true);
  if (isScalar(node)) node.comment = ` ${why}`;
}

export function chooseModelServer(file: StackFile, server: FoundModelServer): void {
  chooseProvider(file, server.id, { baseUrl: server.baseUrl, models: server.models.slice(0, 20) }, server.models[0] ?? "", {
    comment: ` Found on this machine on the first run (${server.name}); it is not looked for again.`,
  });
}

export function chooseProvider(
  file: StackFile,
  id: string,
  provider: { baseUrl: string; models: string[] },
  model: string,
  options: { comment: string },
): void {
  const { document } = file;
  const config = document.get("config");
  if (!isMap(config)) return;
  config.delete(`${projectName}:demo`);
  const pair = document.createPair(`${projectName}:models`, {
    default: `${id}/${model}`,
    providers: { [id]: provider },
  });
  if (isScalar(pair.key)) {
    pair.key.commentBefore = options.comment;
    pair.key.spaceBefore = true;
  }
  config.add(pair);
}
