/**
 * User data for a server's first boot (cloud-init): the user, the key, the packages and the same system files as over SSH.
 * It holds no secret and no release: whoever can read a server's metadata can read it. The next `up` brings those by SSH.
 */
import { gzipSync } from "node:zlib";
import { stringify } from "yaml";
import { reloadCommands } from "./commands.ts";
import type { Machine, SystemFile } from "./machine.ts";

export interface CloudInitOptions {
  machine: Machine;
  /** Those of `renderSystem`, and others that hold no secret, such as the proxy's. */
  files: SystemFile[];
  packages: string[];
  /** Public keys that may log in. */
  authorizedKeys: string[];
}

/** Clouds take 16 KiB of user data at least: more than this is packed, as one program that writes the files. */
const plainBytes = 12 * 1024;
const packedPath = "/run/openclaw-files.sh";
const fileEnd = "OPENCLAW_END_OF_FILE";

export function renderCloudInit({ machine, files, packages, authorizedKeys }: CloudInitOptions): string {
  if (authorizedKeys.length === 0) throw new Error("renderCloudInit: without an authorised key nobody could log in");
  const isPacked = files.reduce((sum, { content }) => sum + content.length, 0) > plainBytes;
  const root = machine.login === "root";
  // Our users do not exist yet when cloud-init writes files.
  const owners = files.filter(({ owner }) => owner !== "root:root").map(({ owner, path }) => `chown ${owner} ${path}`);
  const data = {
    users: root
      ? ["default"]
      : [
          "default",
          {
            name: machine.login,
            shell: "/bin/bash",
            lock_passwd: true,
            ssh_authorized_keys: authorizedKeys,
          },
        ],
    ...(root ? { disable_root: false, ssh_authorized_keys: authorizedKeys } : {}),
    ssh_pwauth: false,
    package_update: true,
    packages,
    write_files: isPacked ? [packed(files)] : files.map(({ path, mode, content }) => ({ path, permissions: mode, content })),
    runcmd: [...(isPacked ? [`sh ${packedPath}`] : []), ...reloadCommands(files), ...owners],
  };
  return `#cloud-config\n${stringify(data, { lineWidth: 0, blockQuote: "literal" })}`;
}

function packed(files: SystemFile[]): object {
  const parts = files.map(({ path, mode, content }) => {
    if (content.includes(fileEnd)) throw new Error(`renderCloudInit: ${path} holds the line ${fileEnd}`);
    return `install -D -m ${mode} /dev/stdin ${path} <<'${fileEnd}'\n${content}${fileEnd}\n`;
  });
  const program = `set -eu\n${parts.join("")}rm ${packedPath}\n`;
  return {
    path: packedPath,
    permissions: "0600",
    encoding: "gz+b64",
    content: gzipSync(program, { level: 9 }).toString("base64"),
  };
}
