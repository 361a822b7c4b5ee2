/** The gateway as a supervised process of this machine's user, ready to answer when the resource is created. */

import { join } from "node:path";
import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { pinnedNode } from "../node.ts";
import { root } from "../places.ts";
import type { Bundle } from "../release/index.ts";

export interface GatewayProcessArgs {
  /** The stack's folder: run/, logs/ and data/ are made in it. */
  directory: string;
  host: string;
  port: number;
  configPath: string;
  dataDirectory: string;
  /** What it runs: its code without packages, made from this clone. */
  bundle: Bundle;
  /** Changes when a file that the gateway reads has changed. */
  revision: pulumi.Input<string>;
  drainTimeoutMs: number;
  /** What `delete` leaves. */
  keepData: boolean;
}

const maxLogBytes = 20 * 1024 * 1024;
const keptLogs = 5;

export class GatewayProcess extends pulumi.ComponentResource {
  constructor(name: string, args: GatewayProcessArgs, options?: pulumi.ComponentResourceOptions) {
    super("openclaw:local:GatewayProcess", name, {}, options);
    new local.Command(
      `${name}-process`,
      {
        interpreter: [pinnedNode(), join(root, "gateway/process/supervisor-control.ts"), args.directory],
        create: "apply",
        delete: args.keepData ? "remove-but-data" : "remove",
        stdin: JSON.stringify(processSpec(args)),
        environment: { OPENCLAW_FILES_REVISION: args.revision },
        logging: local.Logging.StdoutAndStderr,
        addPreviousOutputInEnv: false,
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}

/** Read by gateway/process/supervisor-control.ts, which checks it. */
function processSpec(args: GatewayProcessArgs) {
  return {
    node: pinnedNode(),
    entry: join(args.bundle.directory, "gateway/main.js"),
    host: args.host,
    port: args.port,
    release: args.bundle.id,
    environment: {
      OPENCLAW_CONFIG_PATH: args.configPath,
      OPENCLAW_STATE_DIR: args.dataDirectory,
      NODE_COMPILE_CACHE: join(args.directory, "run", "compile-cache"),
    },
    maxLogBytes,
    keptLogs,
    drainTimeoutMs: args.drainTimeoutMs,
  };
}
