/** A small Debian as clouds give it: with cloud-init, which sets it up at its first boot from what lies in a folder; made once into the cache. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { builtOnce, isBuilt } from "./built-once.ts";
import { debianRepository, repositoryPath, sourcesList } from "./debian-repository.ts";
import { debianRoot } from "./debian-root.ts";
import { runCommand } from "./outcome.ts";

/** To be counted up when something below changes what is built. */
const version = 1;

/** What an image says of itself: its network is there already, and so are the keys that tests know. */
const imageSettings = `datasource_list: [NoCloud, None]
network: {config: disabled}
ssh_deletekeys: false
ssh_genkeytypes: [ed25519]
locale: C.UTF-8
`;

const script = `
  mkdir -p "$1$3"
  mount --bind "$2" "$1$3"
  mount -t proc proc "$1/proc"
  mkdir -p "$1/var/cache/apt/archives/partial"
  printf '#!/bin/sh\\nexit 101\\n' >"$1/usr/sbin/policy-rc.d"
  chmod 755 "$1/usr/sbin/policy-rc.d"
  chroot "$1" apt-get -q update
  chroot "$1" apt-get -q -y install --no-install-recommends cloud-init
  rm -r "$1/usr/sbin/policy-rc.d" "$1/var/cache/apt/archives" "$1/var/lib/apt/lists"`;

/** The folder that holds the root; nobody may write there. Half a minute and 330 MB on the first call. */
export async function cloudRoot(): Promise<string> {
  const folder = join(homedir(), `.cache/openclaw-stack/debian-cloud-bookworm-${version}`);
  const root = join(folder, "root");
  if (isBuilt(folder)) return root;
  const plain = await debianRoot();
  const packages = await debianRepository();
  await builtOnce(folder, async (building) => {
    const made = join(building, "root");
    console.error(`building a Debian with cloud-init in ${folder}, once: about 330 MB, half a minute`);
    execFileSync("cp", ["-a", "--reflink=auto", plain, made]);
    writeFileSync(join(made, "etc/apt/sources.list"), sourcesList);
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", DPKG_FORCE: "unsafe-io", LANG: "C" };
    const command = ["unshare", "--mount", "sh", "-ec", script, "sh", made, packages, repositoryPath];
    const { code, text } = await runCommand(command, { env });
    if (code !== 0) throw new Error(`cloud-init could not be installed:\n${text.slice(-3000)}`);
    writeFileSync(join(made, "etc/cloud/cloud.cfg.d/90-image.cfg"), imageSettings);
    writeFileSync(join(building, "complete"), "");
  });
  return root;
}

/** Puts the user data of a machine where cloud-init looks for them, as a cloud's console would. */
export function plantUserData(root: string, name: string, userData: string): void {
  const seed = join(root, "var/lib/cloud/seed/nocloud");
  mkdirSync(seed, { recursive: true });
  writeFileSync(join(seed, "user-data"), userData);
  writeFileSync(join(seed, "meta-data"), `instance-id: ${name}\nlocal-hostname: ${name}\n`);
}
