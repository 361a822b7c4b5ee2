/** Programs of a newer Debian than this machine's: unpacked from its packages into the user's cache, never installed. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { isOnPath } from "./debian-packages.ts";
import { debianArchive } from "./debian-root.ts";

/** To be counted up when something below changes what is made. */
const version = 1;
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Why there are none; undefined where there are. */
export function whyNoNewerDebian(): string | undefined {
  if (!isOnPath("apt-get") || !isOnPath("dpkg-deb")) return "there is no apt-get and no dpkg-deb";
  return existsSync(keyring) ? undefined : `the keys of Debian's archive are not in ${keyring}`;
}

/** The folders of a newer Docker's programs, for `startDocker`; its containers are run by this machine's runc. */
export function newerDocker(): string[] {
  const root = newerDebian("docker", ["docker.io", "containerd"]);
  return [join(root, "usr/sbin"), join(root, "usr/bin")];
}

/** The plug-in `docker compose`. */
export function composePlugin(): string {
  return join(newerDebian("docker-compose", ["docker-compose"]), "usr/libexec/docker/cli-plugins/docker-compose");
}

/** The folder under which the files of these packages lie, without what they depend on. Ten seconds on the first call. */
export function newerDebian(name: string, packages: readonly string[], suite = "trixie"): string {
  const folder = join(homedir(), `.cache/openclaw-stack/${name}-${suite}-${version}`);
  if (existsSync(join(folder, "complete"))) return join(folder, "root");
  console.error(`fetching ${packages.join(", ")} of Debian ${suite} into ${folder}, once: some seconds`);
  const base = mkdtempSync(join(tmpdir(), "newer-debian-"));
  const building = `${folder}.building-${process.pid}`;
  try {
    for (const path of ["state/lists/partial", "cache/archives/partial", "packages"]) {
      mkdirSync(join(base, path), { recursive: true });
    }
    const archive = debianArchive();
    if (archive === undefined) throw new Error("the sources of this system's packages name no archive of Debian");
    writeFileSync(join(base, "sources.list"), `deb [signed-by=${keyring}] ${archive} ${suite} main\n`);
    const settings = {
      "Dir::Etc::sourcelist": join(base, "sources.list"),
      "Dir::Etc::sourceparts": "-",
      "Dir::State": join(base, "state"),
      "Dir::State::status": "/dev/null",
      "Dir::Cache": join(base, "cache"),
      "APT::Sandbox::User": "root",
      "Acquire::Languages": "none",
    };
    const options = Object.entries(settings).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
    const apt = (...args: string[]): void => {
      execFileSync("apt-get", ["-q", ...options, ...args], { cwd: join(base, "packages"), stdio: "pipe" });
    };
    apt("update");
    apt("download", ...packages);
    mkdirSync(join(building, "root"), { recursive: true });
    for (const file of readdirSync(join(base, "packages"))) {
      execFileSync("dpkg-deb", ["-x", join(base, "packages", file), join(building, "root")], { stdio: "pipe" });
    }
    writeFileSync(join(building, "complete"), `${packages.join("\n")}\n`);
    // Another test may have been faster.
    if (!existsSync(join(folder, "complete"))) renameSync(building, folder);
  } finally {
    rmSync(building, { recursive: true, force: true });
    rmSync(base, { recursive: true, force: true });
  }
  return join(folder, "root");
}
