/** The files of one stack on this machine: openclaw.json, and the secrets that it refers to. */

import { join } from "node:path";
import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { pinnedNode } from "../node.ts";

export interface FilesArgs {
  configDirectory: string;
  secretsDirectory: string;
  /** The content of openclaw.json: references only. */
  config: string;
  /** Contents by file name; each becomes a file that only its owner can read. */
  secrets: { [name: string]: pulumi.Input<string> };
}

export class Files extends pulumi.ComponentResource {
  readonly configPath: string;
  /** Changes with each write: for those who must react to it. */
  readonly revision: pulumi.Output<string>;

  constructor(name: string, args: FilesArgs, options?: pulumi.ComponentResourceOptions) {
    super("openclaw:local:Files", name, {}, options);
    this.configPath = join(args.configDirectory, "openclaw.json");
    const secrets = createWriter(`${name}-secrets`, args.secretsDirectory, "*", toSecretJson(args.secrets), this);
    const config = createWriter(`${name}-config`, args.configDirectory, "openclaw.json", args.config, this, [secrets]);
    this.revision = pulumi.interpolate`${config.stdout}, ${secrets.stdout}`;
    this.registerOutputs({ configPath: this.configPath });
  }
}

function createWriter(
  name: string,
  directory: string,
  file: string,
  content: pulumi.Input<string>,
  parent: pulumi.Resource,
  dependsOn: pulumi.Resource[] = [],
): local.Command {
  return new local.Command(
    name,
    {
      interpreter: [pinnedNode(), join(import.meta.dirname, "write-files.ts"), directory, file],
      create: "put",
      delete: "remove",
      stdin: content,
      logging: local.Logging.None,
      addPreviousOutputInEnv: false,
    },
    { parent, dependsOn },
  );
}

function toSecretJson(secrets: { [name: string]: pulumi.Input<string> }): pulumi.Output<string> {
  return pulumi.secret(pulumi.jsonStringify(secrets));
}
