/** All that a stack has on a Docker host: networks, volumes, files in them, containers, and the order in which they change. */
import type { local } from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { renderCompose } from "../../render/docker/compose.ts";
import { type ComposeLabels, type ContainerShape, containerName } from "../../render/docker/container.ts";
import { serviceUser } from "../../render/docker/containers.ts";
import type { DockerSettings } from "../../settings-docker.ts";
import type { ProxySettings } from "../../settings-proxy.ts";
import { createContainer } from "./container.ts";
import type { DockerHost } from "./host.ts";

/** Files of one folder in a volume. */
export interface VolumeFiles {
  name: string;
  volume: string;
  /** Left out: the volume itself. */
  folder?: string;
  /** Others' files stay. */
  shared?: boolean;
  /** One file or several that show in previews; secret ones do not. */
  content: { file: string; text: string } | { open: { [file: string]: string } } | { secret: pulumi.Input<string> };
  mode: number;
  /** Left out: the user of the services. */
  owner?: number;
  /** The service that is waited for until it has read them. */
  reader?: string;
}

export interface Service {
  shape: ContainerShape;
  files: VolumeFiles[];
}

export interface StackArgs {
  host: DockerHost;
  settings: DockerSettings;
  proxy: ProxySettings;
  gatewayImage: docker.RemoteImage;
  /** What gateways need when they start, and model servers, which they do not wait for. */
  behind: Service[];
  gateways: ContainerShape[];
  gatewayFiles: VolumeFiles[];
  /** In this order; their files name the gateways. */
  before: Service[];
  tools: ContainerShape | undefined;
}

/** The container that gets the certificate, and its files. */
interface Asking {
  shape: ContainerShape;
  written: local.Command[];
}

const networks = ["edge", "internal"];
/** What cannot be made again: `destroy` leaves it where settings say so. */
const lasting = /^(data-\d+|tls|certbot|redis|vllm-models|ollama-models)$/;
/** Written by containers of the service user; images bring another owner. */
const owned = /^(data-\d+|certbot|redis|acme)$/;

export class DockerStack extends pulumi.ComponentResource {
  /** The folder of compose.yaml on the host. */
  readonly directory: string;
  readonly #args: StackArgs;
  readonly #labels: ComposeLabels;
  readonly #networks: docker.Network[];
  readonly #volumes: Map<string, docker.Volume>;
  readonly #owners: local.Command[];

  constructor(name: string, args: StackArgs, options?: pulumi.ComponentResourceOptions) {
    super("openclaw:docker:Stack", name, {}, options);
    const { project } = args.settings;
    const { behind, gateways, before } = args;
    this.#args = args;
    this.directory = args.settings.directory ?? `/opt/${project}`;
    this.#labels = { project, directory: this.directory };
    const shapes = [...behind.map(({ shape }) => shape), ...gateways, ...before.map(({ shape }) => shape)];
    this.#networks = networks.map((network) => this.#network(network));
    const names = [...new Set([...args.gatewayFiles, ...shapes.flatMap(namedVolumes)].map(({ volume }) => volume))];
    this.#volumes = new Map(names.map((volume) => [volume, this.#volume(volume)]));
    this.#owners = this.#ownVolumes(names.filter((volume) => owned.test(volume)));

    const others = behind.map(({ shape, files }) => this.#container(shape, this.#files(files, [])));
    // One after the other: what a file refers to is there before it.
    const files: pulumi.Resource[] = [...others];
    for (const entry of args.gatewayFiles) files.push(...this.#files([entry], [...files]));
    const running = gateways.map((shape) => this.#container(shape, files));
    // Proxies are told of the gateways when these are ready, one after the other; the engine takes old gateways away at its end.
    const ready: pulumi.Resource[] = [...running, ...this.#firstCertificate()];
    const asking: Asking[] = [];
    for (const { shape, files } of before) {
      const written = this.#files(files, [...ready]);
      ready.push(this.#container(shape, written, [...ready]));
      if (shape.service === "certbot") asking.push({ shape, written });
    }
    const settled = [this.#limitProcesses(shapes, [...others, ...ready]), this.#compose(shapes)];
    // At the very end: an authority that refuses leaves everything else in place.
    for (const certbot of asking) this.#acmeCertificate(certbot, [...ready, ...settled]);
    this.registerOutputs({});
  }

  #network(network: string): docker.Network {
    const { host, settings } = this.#args;
    return new docker.Network(
      network,
      {
        name: `${settings.project}-${network}`,
        driver: "bridge",
        // Nothing gets out of it, or in.
        internal: network === "internal",
        labels: composeLabel(settings.project, "network", network),
      },
      { parent: this, provider: host.provider },
    );
  }

  #volume(volume: string): docker.Volume {
    const { host, settings } = this.#args;
    return new docker.Volume(
      `${volume}-volume`,
      { name: `${settings.project}-${volume}`, labels: composeLabel(settings.project, "volume", volume) },
      { parent: this, provider: host.provider, retainOnDelete: settings.volumes.keep && lasting.test(volume) },
    );
  }

  #container(shape: ContainerShape, files: pulumi.Resource[], after: pulumi.Resource[] = []): docker.Container {
    const { host, settings, gatewayImage, gateways } = this.#args;
    const image = gateways.includes(shape) ? gatewayImage : host.image(shape.image, settings.platform);
    const dependsOn = [...this.#networks, ...this.#pick(namedVolumes(shape)), ...this.#owners, ...files, ...after];
    return createContainer({ shape, labels: this.#labels, image }, { parent: this, provider: host.provider, dependsOn });
  }

  #files(needed: VolumeFiles[], after: pulumi.Resource[]): local.Command[] {
    const { host, settings, gatewayImage } = this.#args;
    return needed.map(({ name, volume, folder = "", shared = false, content, mode, owner = serviceUser, reader }) => {
      const task = {
        place: `${settings.project}-${volume}`,
        folder,
        only: !shared,
        ...("file" in content ? { file: content.file } : {}),
        owner,
        mode,
        ...(reader ? { reader: { project: settings.project, service: reader } } : {}),
      };
      const stdin =
        "file" in content ? content.text : "open" in content ? readable(content.open) : pulumi.secret(content.secret);
      const dependsOn = [gatewayImage, ...this.#pick([{ volume }]), ...this.#owners, ...after];
      return host.command(name, "volume-files.ts", task, { stdin, parent: this }, dependsOn);
    });
  }

  #ownVolumes(names: string[]): local.Command[] {
    const { host, settings, gatewayImage } = this.#args;
    const volumes = names.map((name) => `${settings.project}-${name}`);
    const task = { volumes, owner: serviceUser, adopt: settings.volumes.adopt };
    const dependsOn = [gatewayImage, ...this.#pick(names.map((volume) => ({ volume })))];
    return [host.command("volume-owners", "volume-owner.ts", task, { parent: this }, dependsOn)];
  }

  #firstCertificate(): local.Command[] {
    const { host, settings, proxy, gatewayImage } = this.#args;
    const { mode } = proxy.tls;
    if (mode !== "self-signed" && mode !== "acme") return [];
    const names = proxy.names.length > 0 ? proxy.names : ["localhost"];
    const task = { place: `${settings.project}-tls`, names, owner: serviceUser, keepIssued: mode === "acme" };
    const dependsOn = [gatewayImage, ...this.#pick([{ volume: "tls" }])];
    return [host.command("first-certificate", "first-certificate.ts", task, { parent: this }, dependsOn)];
  }

  /** Asked for again when what decides on it changes, and after a failure. */
  #acmeCertificate({ shape, written }: Asking, dependsOn: pulumi.Resource[]): void {
    const { host, settings, proxy } = this.#args;
    const command = [...(shape.entrypoint ?? []), "now"];
    const task = { project: settings.project, names: proxy.names, command };
    const triggers = written.map(({ stdout }) => stdout);
    host.command("acme-certificate", "acme-certificate.ts", task, { triggers, parent: this }, dependsOn);
  }

  #limitProcesses(shapes: ContainerShape[], dependsOn: pulumi.Resource[]): local.Command {
    const { host, settings } = this.#args;
    const limits = Object.fromEntries(
      shapes.flatMap((shape) =>
        shape.limits.pids === undefined ? [] : [[containerName(settings.project, shape), shape.limits.pids]],
      ),
    );
    return host.command("process-limits", "process-limits.ts", { limits }, { parent: this }, dependsOn);
  }

  #compose(shapes: ContainerShape[]): local.Command {
    const { host, settings, gatewayImage, tools } = this.#args;
    const containers = [...shapes, ...(tools ? [tools] : [])];
    const stdin = renderCompose({ project: settings.project, networks, volumes: [...this.#volumes.keys()], containers });
    const task = { place: this.directory, folder: "", only: false, file: "compose.yaml", owner: 0, mode: 0o644 };
    return host.command("compose", "volume-files.ts", task, { stdin, remove: true, parent: this }, [gatewayImage]);
  }

  #pick(wanted: { volume: string }[]): docker.Volume[] {
    return wanted.flatMap(({ volume }) => this.#volumes.get(volume) ?? []);
  }
}

function namedVolumes(shape: ContainerShape): { volume: string }[] {
  return shape.volumes.filter(({ from }) => !from.startsWith("/")).map(({ from }) => ({ volume: from }));
}

/** So that `docker compose` takes them for its own. */
function composeLabel(project: string, kind: "network" | "volume", name: string): { label: string; value: string }[] {
  return [
    { label: "com.docker.compose.project", value: project },
    { label: `com.docker.compose.${kind}`, value: name },
  ];
}

/** One line of a file is one line of a preview. */
function readable(files: { [file: string]: string }): string {
  return JSON.stringify(files, null, 1);
}
