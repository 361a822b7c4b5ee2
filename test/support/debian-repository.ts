/** A repository of Debian packages in the user's cache, from which machines without internet install; made once, by apt and dpkg. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { builtOnce, isBuilt } from "./built-once.ts";
import { debianRoot, type Suite } from "./debian-root.ts";
import { runCommand } from "./outcome.ts";

/** What servers of the tests may install, with all that it needs and recommends. */
const packages = [
  "nginx",
  "caddy",
  "certbot",
  "python3-certbot-nginx",
  "fail2ban",
  "nftables",
  "ufw",
  "iptables",
  "redis-server",
  "haproxy",
  "unattended-upgrades",
  "systemd-timesyncd",
  "chrony",
  "logrotate",
  "cron",
  "rsyslog",
  "cloud-init",
  "openssl",
  "acl",
  "socat",
  "sqlite3",
  "python3",
  "dnsutils",
  "python3-certbot-dns-rfc2136",
];
/** To be counted up when something below changes what is built. */
const version = 2;

const folderOf = (suite: Suite): string =>
  join(homedir(), `.cache/openclaw-stack/debian-packages-${suite}-${version}-${digest(packages.join()).slice(0, 8)}`);

/** The folder to be seen under `repositoryPath`. A minute and 200 MB on the first call. */
export async function debianRepository(suite: Suite = "bookworm"): Promise<string> {
  const folder = folderOf(suite);
  if (isBuilt(folder)) return folder;
  const root = await debianRoot(suite);
  await builtOnce(folder, async (building) => {
    console.error(`fetching Debian packages for the servers of tests into ${folder}, once: about 200 MB, a minute`);
    const base = mkdtempSync(join(tmpdir(), "debian-packages-"));
    try {
      for (const name of ["upper", "work", "root"]) mkdirSync(join(base, name));
      mkdirSync(join(building, "partial"));
      await inOverlay(base, root, building);
      rmSync(join(building, "partial"), { recursive: true });
      rmSync(join(building, "lock"), { force: true });
      writeIndex(building, suite);
      writeFileSync(join(building, "complete"), "");
    } finally {
      rmSync(base, { recursive: true, force: true });
    }
  });
  return folder;
}

/** Where machines see it, and what they are told of it. */
export const repositoryPath = "/srv/packages";
export const sourcesList = `deb [trusted=yes] file:${repositoryPath} ./\n`;

/** Downloads in a layer over the root that is thrown away, with the network and the sources of this machine. */
async function inOverlay(base: string, root: string, archives: string): Promise<void> {
  const script = `
    mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
    mkdir -p "$2/root/var/cache/apt/archives"
    mount --bind "$3" "$2/root/var/cache/apt/archives"
    cp /etc/resolv.conf "$2/root/etc/resolv.conf"
    root="$2/root"; shift 3
    mkdir -p "$root/var/cache/apt/archives/partial"
    chroot "$root" apt-get -q update
    # What the root has: machines may install it again, and smaller images have it not.
    chroot "$root" apt-get -q -y -o APT::Keep-Downloaded-Packages=true --download-only --reinstall install \\
      $(chroot "$root" dpkg-query -W -f '\${Package} ')
    # One by one: they need not go together.
    for package in "$@"; do
      echo "fetching $package"
      chroot "$root" apt-get -q -y -o APT::Keep-Downloaded-Packages=true --download-only install "$package"
    done`;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", LANG: "C" };
  const command = ["unshare", "--mount", "sh", "-ec", script, "sh", root, base, archives, ...packages];
  const { code, text } = await runCommand(command, {
    env,
    onText: (text) => {
      for (const line of text.split("\n").filter((line) => line.startsWith("fetching "))) console.error(`  ${line}`);
    },
  });
  if (code !== 0) throw new Error(`the packages could not be fetched:\n${text.slice(-3000)}`);
}

/** The index as apt wants it, with Debian's names: what asks for packages "of Debian" finds them. */
function writeIndex(folder: string, suite: Suite): void {
  const files = readdirSync(folder).filter((name) => name.endsWith(".deb"));
  const stanzas = files.map((name) => {
    const control = execFileSync("dpkg-deb", ["--field", join(folder, name)], { encoding: "utf8" }).trimEnd();
    const bytes = readFileSync(join(folder, name));
    return `${control}\nFilename: ./${name}\nSize: ${bytes.length}\nSHA256: ${digest(bytes)}\n`;
  });
  const index = stanzas.join("\n");
  writeFileSync(join(folder, "Packages"), index);
  writeFileSync(join(folder, "Packages.gz"), gzipSync(index));
  const sums = ["Packages", "Packages.gz"].map((name) => {
    const path = join(folder, name);
    return ` ${digest(readFileSync(path))} ${statSync(path).size} ${name}`;
  });
  const head = { Origin: "Debian", Label: "Debian", Suite: "stable", Codename: suite, Date: new Date().toUTCString() };
  const lines = Object.entries(head).map(([key, value]) => `${key}: ${value}`);
  writeFileSync(join(folder, "Release"), `${[...lines, "SHA256:", ...sums].join("\n")}\n`);
}

function digest(content: string | Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}
