/** The gateway's service on the server: runs from one release, with the files as they are, and is replaced without a refused request. */
import * as pulumi from "@pulumi/pulumi";
import type { ServerFacts } from "./facts.ts";
import { agentCommand, type Host } from "./host.ts";

export interface ServerGatewayArgs {
  host: Host;
  facts: ServerFacts;
  release: string;
  keepReleases: number;
  stateDirectory: string;
  user: string;
  /** Units of others that are to run, such as the proxy's. */
  units: string[];
  /** Changes with what a gateway reads only when it starts: then it is replaced. */
  started: string;
  /** Changes with what a gateway that runs takes over by itself, such as its config and its secrets. */
  revision: pulumi.Input<string>;
}

export class ServerGateway extends pulumi.ComponentResource {
  constructor(name: string, args: ServerGatewayArgs, options?: pulumi.ComponentResourceOptions) {
    super("openclaw:vm:Gateway", name, {}, options);
    const { host, facts, release, keepReleases, stateDirectory, user, units } = args;
    const others = facts.activated === release && facts.current !== release;
    const ill = Object.values(facts.units).some(({ active, enabled }) => active !== "active" || enabled === "disabled");
    const repairs = facts.unitRepairs + (others || ill ? 1 : 0);
    agentCommand(
      `${name}-service`,
      host,
      {
        put: ["activate", release, String(keepReleases), stateDirectory, user, String(repairs), ...units],
        take: ["take-gateway"],
        stdin: pulumi.concat("started ", args.started, "\nrevision ", args.revision, "\n"),
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}
