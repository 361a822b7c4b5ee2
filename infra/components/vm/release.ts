/** A release of the gateway, sent from here and unpacked beside those that are there. */
import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Release } from "../../release/index.ts";
import type { ServerFacts } from "./facts.ts";
import { agentCommand, type Host } from "./host.ts";

export interface ServerReleaseArgs {
  host: Host;
  facts: ServerFacts;
  release: Release;
}

export class ServerRelease extends pulumi.ComponentResource {
  constructor(name: string, { host, facts, release }: ServerReleaseArgs, options?: pulumi.ComponentResourceOptions) {
    super("openclaw:vm:Release", name, {}, options);
    const there = facts.releases[release.id];
    // Sent again where it was there and is not any more; the server counts that, so that the next run changes nothing.
    const sent = there ? there.repairs + (there.at === "missing" ? 1 : 0) : 0;
    const archive = `.openclaw-release-${release.id}.tar.gz`;
    const upload = new remote.CopyToRemote(
      `${name}-archive`,
      {
        connection: host.connection,
        source: new pulumi.asset.FileAsset(release.archive),
        remotePath: archive,
        triggers: [host.installation, release.id, sent],
      },
      { parent: this },
    );
    agentCommand(
      `${name}-unpacked`,
      host,
      { put: ["release", release.id, release.sha256, `$HOME/${archive}`, String(sent)] },
      { parent: this, dependsOn: [upload] },
    );
    this.registerOutputs({});
  }
}
