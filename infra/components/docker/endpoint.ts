/** How the daemon of a stack is reached, by its settings. */
import type { DockerSettings } from "../../settings-docker.ts";
import type { Endpoint } from "./client.ts";

export function endpointOf(settings: DockerSettings): Endpoint {
  const { host, hostKey, sshKeyFile, certificates } = settings;
  if (!host.startsWith("ssh://")) return { host, sshOptions: [], ...(certificates ? { certificates } : {}) };
  const options = [
    // The key of the settings is the only one that is believed; known_hosts of this machine is not asked.
    `KnownHostsCommand=/bin/echo %H ${hostKey?.split(" ").slice(0, 2).join(" ")}`,
    "UserKnownHostsFile=/dev/null",
    "GlobalKnownHostsFile=/dev/null",
    `HostKeyAlgorithms=${algorithms(hostKey ?? "")}`,
    ...(sshKeyFile ? [`IdentityFile=${sshKeyFile}`, "IdentitiesOnly=yes"] : []),
  ];
  return { host, sshOptions: options.flatMap((option) => ["-o", option]) };
}

/** An RSA key signs in newer ways than its name says. */
function algorithms(hostKey: string): string {
  const kind = hostKey.split(" ")[0] ?? "";
  return kind === "ssh-rsa" ? "rsa-sha2-512,rsa-sha2-256" : kind;
}
