/** The files of a server, each a resource of its own, so that a preview shows what changes in which; then what puts them in force. */
import { createHash } from "node:crypto";
import type { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { repairsOf, type ServerFacts } from "./facts.ts";
import { agentCommand, type Host } from "./host.ts";

export interface ServerFile {
  path: string;
  mode: string;
  owner: string;
  /** A secret is shown as such in previews. */
  content: pulumi.Input<string>;
  validate?: string;
  /** Looks at the whole once the file is in place; where it fails the file is as before. */
  check?: string;
  reload?: string[];
  remove?: string[];
  /** After it was removed. */
  removed?: string;
}

export interface ServerFilesArgs {
  host: Host;
  facts: ServerFacts;
  files: ServerFile[];
}

export class ServerFiles extends pulumi.ComponentResource {
  /** Once everything is in force. */
  readonly settled: pulumi.Resource;

  constructor(name: string, { host, facts, files }: ServerFilesArgs, options: pulumi.ComponentResourceOptions) {
    super("openclaw:vm:Files", name, {}, options);
    // What stops a service when it goes comes last, so that it goes first, while the rest is still there.
    const plain = files.filter(({ check, remove = [] }) => !check && remove.length === 0);
    const made: pulumi.Resource[] = plain.map((file) => createFile(file, host, facts, { parent: this }));
    // Those with a check of the whole come one after the other: together they may be wrong for a moment.
    let before = made.slice();
    for (const file of files.filter((file) => !plain.includes(file))) {
      const resource = createFile(file, host, facts, { parent: this, dependsOn: before });
      if (file.check) before = [resource];
      made.push(resource);
    }
    const lines = files.map(({ path, content, reload = [] }) =>
      pulumi
        .output(content)
        .apply((text) =>
          (reload.length > 0 ? reload : [""]).map((command) => `${path}\t${sumOf(text)}\t${command}\n`).join(""),
        ),
    );
    this.settled = agentCommand(
      `${name}-in-force`,
      host,
      { put: ["settle"], stdin: pulumi.concat(...lines) },
      { parent: this, dependsOn: made },
    );
    this.registerOutputs({});
  }
}

/**
 * Secrets by file name: files that only root can read. `stdout` of the result changes with the content of any, and tells
 * nothing of it.
 */
export function createSecrets(
  host: Host,
  facts: ServerFacts,
  secrets: { [name: string]: pulumi.Input<string> },
  options: pulumi.ComponentResourceOptions,
): remote.Command {
  const lines = pulumi.output(secrets).apply((values) =>
    Object.entries(values)
      .map(([name, value]) => `${name} ${Buffer.from(value).toString("base64")}\n`)
      .join(""),
  );
  const stdin = pulumi.secret(lines);
  return agentCommand("secrets", host, { put: ["secrets", repairsOf(facts.secrets)], take: ["take-secrets"], stdin }, options);
}

export function createFile(file: ServerFile, host: Host, facts: ServerFacts, options: pulumi.ComponentResourceOptions) {
  const { path, mode, owner, content, validate = "", check = "", remove = [], removed = "" } = file;
  return agentCommand(
    path,
    host,
    {
      put: ["put", path, mode, owner, repairsOf(facts.files[path]), validate, check],
      take: ["take", path, remove.join("; "), removed],
      stdin: content,
    },
    options,
  );
}

const sumOf = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);
