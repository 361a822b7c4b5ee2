/**
 * User data for a server's first boot (cloud-init): the login, and one program that does what `up` would do by SSH before the
 * release. It holds no secret and no release: whoever can read a server's metadata can read it. The next `up` brings those by SSH.
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

/** Clouds take 16 KiB of user data at least: more than this is packed. */
const plainBytes = 12 * 1024;
const programPath = "/run/openclaw-first-boot.sh";
const fileEnd = "OPENCLAW_END_OF_FILE";

export function renderCloudInit({ machine, files, packages, authorizedKeys }: CloudInitOptions): string {
  if (authorizedKeys.length === 0) throw new Error("renderCloudInit: without an authorised key nobody could log in");
  const { login } = machine;
  // Whoever logs in may become root, whatever becomes of the rest.
  const ofLogin = ({ path }: SystemFile): boolean => path.startsWith("/etc/sudoers.d/");
  const program = firstBoot(
    machine,
    files.filter((file) => !ofLogin(file)),
    packages,
  );
  const user = {
    name: login,
    shell: "/bin/bash",
    lock_passwd: true,
    ssh_authorized_keys: authorizedKeys,
  };
  const data = {
    ...(login === "root"
      ? { users: ["default"], disable_root: false, ssh_authorized_keys: authorizedKeys }
      : { users: ["default", user] }),
    ssh_pwauth: false,
    write_files: [
      ...files.filter(ofLogin).map(({ path, mode, content }) => ({ path, permissions: mode, content })),
      { path: programPath, permissions: "0600", ...packed(program) },
    ],
    // What it ends with is what `cloud-init status` says.
    runcmd: [`sh ${programPath}`],
  };
  return `#cloud-config\n${stringify(data, { lineWidth: 0, blockQuote: "literal" })}`;
}

function packed(program: string): { content: string; encoding?: string } {
  if (program.length <= plainBytes) return { content: program };
  return { encoding: "gz+b64", content: gzipSync(program, { level: 9 }).toString("base64") };
}

/** What it did is noted where the server's agent notes it: the files and packages are ours, and go with the rest. */
function firstBoot({ user, paths }: Machine, files: SystemFile[], packages: string[]): string {
  return `# What \`up\` does by SSH before it brings the secrets and the release.
set -eu
umask 022
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
home=/var/lib/openclaw-host
mkdir -p -m 0700 $home
installed() { dpkg-query -W -f '\${db:Status-Abbrev} \${Package}\\n' | sed -n 's/^ii. *//p' | sort; }
make_folder() {
  [ -d "$1" ] && return
  make_folder "$(dirname "$1")"
  echo "$1" >>$home/folders
  mkdir "$1"
}
put() {
  make_folder "$(dirname "$3")"
  cat >"$3"
  chown "$2" "$3"
  chmod "$1" "$3"
  sha256sum "$3" >>$home/user-data
}
apt() { apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold "$@"; }
# No service starts before its files are there.
policy=/usr/sbin/policy-rc.d ours=
trap '[ -z "$ours" ] || rm -f $policy; rm -f ${programPath}' EXIT
if [ ! -e $policy ]; then
  ours=yes
  printf '#!/bin/sh\\nexit 101\\n' >$policy
  chmod 755 $policy
fi
installed >$home/before
apt update
apt install --no-install-recommends ${packages.join(" ")}
installed | comm -13 $home/before - >>$home/packages
rm $home/before
! grep -qx nginx $home/packages || rm -f /etc/nginx/sites-enabled/default
${packages.includes("redis-server") ? "! grep -qx redis-server $home/packages || systemctl disable -q redis-server.service\n" : ""}if ! getent passwd ${user} >/dev/null; then
  useradd --system --user-group --no-create-home --home-dir ${paths.state} --shell /usr/sbin/nologin ${user}
  echo ${user} >>$home/users
fi
${files.map(put).join("")}${reloadCommands(files).join("\n")}
`;
}

function put({ path, mode, owner, content }: SystemFile): string {
  if (content.includes(fileEnd)) throw new Error(`renderCloudInit: ${path} holds the line ${fileEnd}`);
  return `put ${mode} ${owner} ${path} <<'${fileEnd}'\n${content}${fileEnd}\n`;
}
