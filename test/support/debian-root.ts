/** The files of a small Debian that boots systemd, made once into the user's cache; tests take copies of it. */
import { execFileSync, spawn } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { builtOnce, isBuilt } from "./built-once.ts";
import { installPrograms } from "./debian-packages.ts";

export type Suite = "bookworm" | "trixie";

const packages = [
  "systemd",
  "systemd-sysv",
  "dbus",
  "libpam-systemd",
  "polkitd",
  "openssh-server",
  "sudo",
  "iproute2",
  "procps",
  "curl",
  "ca-certificates",
];
/** To be counted up when something below changes what is built. */
const version = 1;

/** The folder that holds the root; nobody may write there. One to two minutes and 250 MB on the first call. */
export async function debianRoot(suite: Suite = "bookworm"): Promise<string> {
  const folder = join(homedir(), `.cache/openclaw-stack/debian-${suite}-${version}`);
  const root = join(folder, "root");
  if (isBuilt(folder)) return root;
  const missing = installPrograms({ debootstrap: "debootstrap debian-archive-keyring" });
  if (missing) throw new Error(missing);
  await builtOnce(folder, async (building) => {
    console.error(`building a Debian ${suite} that boots systemd in ${folder}, once: about 250 MB, one to two minutes`);
    const began = Date.now();
    const made = join(building, "root");
    await debootstrap(["--variant=minbase", `--include=${packages.join(",")}`, suite, made, ...mirror()]);
    rmSync(join(made, "var/cache/apt/archives"), { recursive: true, force: true });
    // Nobody is asked for a time zone, a root password or a network when it boots.
    rmSync(join(made, "etc/systemd/system/multi-user.target.wants/systemd-networkd.service"), { force: true });
    writeFileSync(join(building, "complete"), `${packages.join("\n")}\n`);
    console.error(`built in ${Math.round((Date.now() - began) / 1000)} s`);
  });
  return root;
}

/** On Debian the packages come from where this machine's own come from; elsewhere debootstrap knows a place. */
function mirror(): string[] {
  const archive = debianArchive();
  return archive ? [archive] : [];
}

/** Undefined where this machine is no Debian. */
export function debianArchive(): string | undefined {
  const system = readFileSync("/etc/os-release", "utf8");
  if (!/^ID=debian$/m.test(system)) return undefined;
  const own = /^VERSION_CODENAME=(.*)$/m.exec(system)?.[1];
  const format = ["indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"];
  const lines = execFileSync("apt-get", format, { encoding: "utf8" }).split("\n");
  const line = lines.find((line) => line.endsWith(` ${own} main`));
  return line?.slice(0, line.indexOf(" "));
}

function debootstrap(args: string[]): Promise<void> {
  // What breaks off is thrown away: dpkg need not wait for the disk after each file.
  const env = { ...process.env, DPKG_FORCE: "unsafe-io" };
  const child = spawn("debootstrap", args, { stdio: ["ignore", "pipe", "pipe"], env });
  let last = "";
  let shown = Date.now();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      last = (last + text).slice(-2000);
      if (Date.now() - shown < 5000) return;
      shown = Date.now();
      console.error(`  ${last.trimEnd().split("\n").at(-1)?.slice(0, 100)}`);
    });
  }
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`debootstrap ended with ${code}:\n${last}`))));
  });
}
