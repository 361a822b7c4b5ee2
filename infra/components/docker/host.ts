/** A Docker host as resources see it: its provider, the images on it, and programs of ours that work on it. */
import { join } from "node:path";
import { local } from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { pinnedNode } from "../../node.ts";
import type { DockerSettings } from "../../settings-docker.ts";
import type { Endpoint } from "./client.ts";
import { endpointOf } from "./endpoint.ts";

export interface HostArgs {
  settings: DockerSettings;
  /** Values of the stack's secrets, by their keys. */
  secret(id: string): pulumi.Input<string>;
}

export class DockerHost extends pulumi.ComponentResource {
  readonly provider: docker.Provider;
  readonly endpoint: Endpoint;
  readonly #images = new Map<string, docker.RemoteImage>();

  constructor(name: string, { settings, secret }: HostArgs, options?: pulumi.ComponentResourceOptions) {
    super("openclaw:docker:Host", name, {}, options);
    this.endpoint = endpointOf(settings);
    const { host, sshOptions, certificates } = this.endpoint;
    this.provider = new docker.Provider(
      `${name}-daemon`,
      {
        host,
        ...(sshOptions.length > 0 ? { sshOpts: sshOptions } : {}),
        ...(certificates ? { certPath: certificates } : {}),
        ...(settings.registries.length > 0
          ? {
              registryAuth: settings.registries.map(({ address, username, password }) => ({
                address,
                username,
                password: pulumi.secret(secret(password.id)),
              })),
            }
          : {}),
      },
      { parent: this },
    );
    this.registerOutputs({});
  }

  /** Taken from a registry, where the host does not have it. It stays there: others may use it too. */
  image(name: string, platform: DockerSettings["platform"]): docker.RemoteImage {
    const known = this.#images.get(name);
    if (known) return known;
    const made = new docker.RemoteImage(
      `image-${name.replace(/@sha256:(.{8}).*$/, "-$1").replace(/[^\w.-]/g, "-")}`,
      { name, keepLocally: true, platform: name.includes("@") ? undefined : platform },
      { parent: this, provider: this.provider },
    );
    this.#images.set(name, made);
    return made;
  }

  /** Built on the host. The name holds the hash of all that goes in, so nothing else tells what changed. */
  build(
    resource: string,
    name: string,
    context: { directory: string; buildArguments: { [name: string]: string } },
    platform: DockerSettings["platform"],
  ): docker.RemoteImage {
    const build = { context: context.directory, buildArgs: context.buildArguments, platform };
    return new docker.RemoteImage(
      resource,
      { name, build },
      { parent: this, provider: this.provider, ignoreChanges: ["build"] },
    );
  }

  /** A program of this folder; its task shows in previews, what comes by stdin does not where it is a secret. */
  command(
    name: string,
    program: string,
    task: object,
    more: { stdin?: pulumi.Input<string>; remove?: boolean; triggers?: pulumi.Input<string>[]; parent?: pulumi.Resource },
    dependsOn: pulumi.Resource[],
  ): local.Command {
    return new local.Command(
      name,
      {
        interpreter: [pinnedNode(), join(import.meta.dirname, program), JSON.stringify({ endpoint: this.endpoint, ...task })],
        create: "put",
        ...(more.remove ? { delete: "remove" } : {}),
        stdin: more.stdin,
        ...(more.triggers ? { environment: triggerEnvironment(more.triggers) } : {}),
        logging: local.Logging.None,
        addPreviousOutputInEnv: false,
      },
      { parent: more.parent ?? this, dependsOn },
    );
  }
}

/** A command runs again when its environment is another one; a trigger would replace the resource. */
function triggerEnvironment(values: pulumi.Input<string>[]): { [name: string]: pulumi.Input<string> } {
  return Object.fromEntries(values.map((value, index) => [`OPENCLAW_REVISION_${index}`, value]));
}
