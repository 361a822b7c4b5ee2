/** What everything else on the server stands on: the agent, packages, and the gateway's own user. */

import { createHash } from "node:crypto";
import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { repairsOf, type ServerFacts } from "./facts.ts";
import { agentCommand, type Host } from "./host.ts";
import { agentLine, agentPath, agentScript, quoted } from "./server.ts";

export interface BaseArgs {
  host: Host;
  facts: ServerFacts;
  packages: string[];
  user: string;
  stateDirectory: string;
  /** What `delete` leaves, and with it its owner. */
  keepData: boolean;
}

export class Base extends pulumi.ComponentResource {
  readonly agent: pulumi.Resource;
  readonly packages: pulumi.Resource;
  readonly user: pulumi.Resource;

  constructor(name: string, args: BaseArgs, options?: pulumi.ComponentResourceOptions) {
    super("openclaw:vm:Base", name, {}, options);
    const { host } = args;
    this.agent = createAgent(args, this);
    const after = { parent: this, dependsOn: [this.agent] };
    this.packages = agentCommand(
      "packages",
      host,
      { put: ["packages", repairsOf(args.facts.wantedPackages), ...args.packages], take: ["take-packages"] },
      after,
    );
    const keep = args.keepData ? "keep" : "remove";
    this.user = agentCommand(
      `user-${args.user}`,
      host,
      { put: ["user", args.user, args.stateDirectory], take: ["take-user", args.user, args.stateDirectory, keep] },
      // Packages bring users, too: one after the other they have the same numbers on each server, as user data gives them.
      { parent: this, dependsOn: [this.packages] },
    );
    this.registerOutputs({});
  }
}

/** It comes by standard input, and is replaced as a whole. */
function createAgent({ host }: BaseArgs, parent: pulumi.Resource): remote.Command {
  const folder = agentPath.slice(0, agentPath.lastIndexOf("/"));
  const sum = createHash("sha256").update(agentScript).digest("hex");
  const script = [
    `umask 077; mkdir -p ${folder}; cat >${agentPath}.new`,
    `[ "$(sha256sum <${agentPath}.new | cut -d " " -f 1)" = ${sum} ]`,
    `mv -f ${agentPath}.new ${agentPath}`,
    `echo ${host.installation} ${sum} >${folder}/installation`,
  ].join(" && ");
  const line = `${host.sudo}sh -c ${quoted(script)}`;
  return new remote.Command(
    "agent",
    {
      connection: host.connection,
      create: line,
      update: line,
      delete: agentLine(host, ["take-agent"]),
      stdin: agentScript,
      logging: remote.Logging.None,
      addPreviousOutputInEnv: false,
    },
    { parent },
  );
}
