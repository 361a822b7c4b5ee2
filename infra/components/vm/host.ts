/** Commands of the agent on the server as resources: each is one round trip over the engine's own connection. */
import { remote, type types } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { type AgentHost, agentLine, sudoFor } from "./server.ts";
import type { Route } from "./ssh.ts";

export interface Host extends AgentHost {
  connection: types.input.remote.ConnectionArgs;
}

export function hostOf(route: Route, installation: string): Host {
  return { ...connectionOf(route), installation };
}

function connectionOf({ host, port, user, hostKey, privateKey, bastion, connectTimeoutMs }: Route): Omit<Host, "installation"> {
  const dial = { dialErrorLimit: 3, perDialTimeout: Math.ceil(connectTimeoutMs / 1000) };
  const key = (text: string | undefined) => (text === undefined ? {} : { privateKey: pulumi.secret(text) });
  return {
    sudo: sudoFor(user),
    connection: {
      ...{ host, port, user, hostKey, ...dial, ...key(privateKey) },
      ...(bastion
        ? {
            proxy: {
              host: bastion.host,
              port: bastion.port,
              user: bastion.user,
              hostKey: bastion.hostKey,
              ...dial,
              ...key(bastion.privateKey),
            },
          }
        : {}),
    },
  };
}

/** The last line of what comes by standard input: without it the server knows that the connection broke off. */
const end = "--- end ---\n";

export interface AgentCommand {
  /** Arguments of the agent; the same command is run for a change. They are seen by everybody: never a secret. */
  put?: string[];
  /** Arguments of the agent when the resource goes. */
  take?: string[];
  /** Text that ends with a line end; what changes in it is shown in previews. */
  stdin?: pulumi.Input<string>;
}

export function agentCommand(
  name: string,
  host: Host,
  { put, take, stdin }: AgentCommand,
  options: pulumi.ComponentResourceOptions,
): remote.Command {
  return new remote.Command(
    name,
    {
      connection: host.connection,
      ...(put ? { create: agentLine(host, put), update: agentLine(host, put) } : {}),
      ...(take ? { delete: agentLine(host, take) } : {}),
      ...(stdin === undefined ? {} : { stdin: pulumi.concat(stdin, end) }),
      logging: remote.Logging.None,
      addPreviousOutputInEnv: false,
    },
    options,
  );
}
