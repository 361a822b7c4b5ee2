/**
 * A server for a test: a fresh Debian that boots its own systemd, with sshd, addresses of both kinds, and packages to install
 * from a repository of its own, without the internet. What it changes lies in a layer over the pristine files.
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cloudRoot, plantUserData } from "./cloud-root.ts";
import { debianRepository, repositoryPath, sourcesList } from "./debian-repository.ts";
import { debianRoot, type Suite } from "./debian-root.ts";
import { createFileComparison, type FileChange, type FileComparison } from "./file-comparison.ts";
import { type Addresses, makeNetwork, type Network } from "./network.ts";
import { bootContainer, type Container, whyNoContainer } from "./nspawn.ts";
import { type Outcome, type RunOptions, runCommand } from "./outcome.ts";
import { type KeyPair, makeKey } from "./sshd.ts";
import { waitForBanner } from "./tcp-banner.ts";

export interface MachineOptions {
  /** Debian 12 unless said otherwise. */
  suite?: Suite;
  /** To be on one network with others; otherwise it has one of its own. */
  network?: Network;
  /** Who logs in by key: root, or a user who may use sudo without a password, with one, or not at all. */
  login?: "root" | "sudo" | "sudo with password" | "plain user";
  sshPort?: number;
  /** Changes its files before the first boot; what it does counts as pristine. `root` is the folder of all its files. */
  prepare?(root: string): void;
  /** An image with cloud-init, which is given this at its first boot: the user and its key are to be in it. */
  userData?: string;
  /** Of the user; left out: a new one. */
  key?: KeyPair;
  /** Folders of this machine that are seen in there, read-only: path in there to path here. */
  binds?: { [inside: string]: string };
}

export interface Machine extends Addresses {
  readonly name: string;
  readonly network: Network;
  readonly sshPort: number;
  readonly user: string;
  /** Of the user, where sudo asks for it. */
  readonly password: string | undefined;
  readonly key: KeyPair;
  /** The line of its public host key: "ssh-ed25519 AAAA…". */
  readonly hostKey: string;
  /** The same for all its addresses, as a file for `UserKnownHostsFile`. */
  readonly knownHostsFile: string;
  /** By root, in no login session and not over SSH; a string is a shell's. */
  run(command: string | readonly string[], options?: RunOptions): Promise<Outcome>;
  /** As `run`, and an error unless it ends with 0; gives what it printed. */
  good(command: string | readonly string[]): Promise<string>;
  /** Over SSH by the user, with the system's own client. */
  ssh(command: string): Promise<Outcome>;
  /** Its process 1, as seen from here. */
  leader(): number;
  /** Where a file of it is seen from here; only while it runs, and another place after each restart. */
  file(path: string): string;
  /** It restarts itself; resolves when it is up again and answers on its SSH port. */
  reboot(): Promise<void>;
  /** Off, as by a power cut: no service ends in order. */
  powerOff(): Promise<void>;
  /** On again. */
  boot(): Promise<void>;
  /** What differs from the state after its first boot; what any running Debian changes by itself is left out unless asked for. */
  changedFiles(options?: { all?: boolean }): Promise<FileChange[]>;
  /** To be compared with another machine's. */
  readonly files: FileComparison;
  /** From now on the state of this moment is the pristine one. */
  markPristine(): Promise<void>;
  /** Ends it and removes its files; also good for one that is off. */
  stop(): Promise<void>;
}

/** Why no such machine can run here, in words; undefined where one can. Installs the Debian packages that it needs. */
export const whyNoMachine = (): string | undefined => whyNoContainer({ ssh: "openssh-client", "ssh-keygen": "openssh-client" });

/** Booted, reachable. */
export async function startMachine(name: string, options: MachineOptions = {}): Promise<Machine> {
  const { suite = "bookworm", login = "root", sshPort = 22 } = options;
  const lower = await (options.userData === undefined ? debianRoot(suite) : cloudRoot());
  const packages = await debianRepository(suite);
  const base = mkdtempSync(join(tmpdir(), `machine-${name}-`));
  const network = options.network ?? makeNetwork();
  const addresses = network.take();
  const { address4, address6 } = addresses;
  const user = login === "root" ? "root" : "admin";
  const password = login === "sudo with password" ? "correct horse battery" : undefined;
  const root = join(base, "root");
  let container: Container | undefined;

  async function stop(): Promise<void> {
    await container?.end("at once");
    container = undefined;
    if (!options.network) network.remove();
    rmSync(base, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  async function boot(): Promise<void> {
    const binds = Object.entries({ [repositoryPath]: packages, ...options.binds });
    const upper = `upperdir=${join(base, "upper")},workdir=${join(base, "work")}`;
    container = await bootContainer({
      // The wire's end here is named after it, with 15 letters at most.
      name: `${name.slice(0, 4)}${network.bridge.slice(2)}-${addresses.address4.split(".").at(-1)}`,
      root,
      args: [
        ...["--private-network", `--network-bridge=${network.bridge}`, `--hostname=${name}`],
        ...["--resolv-conf=off", "--timezone=off", "--link-journal=no"],
        ...binds.map(([inside, here]) => `--bind-ro=${here}:${inside}`),
      ],
      consoleFile: join(base, "console.log"),
      mount: { type: "overlay", options: `lowerdir=${lower},${upper}` },
      // It is up once it is set up.
      ...(options.userData === undefined ? {} : { bootTimeoutMs: 600_000 }),
      // Its systemd refuses to boot with the older hierarchies.
      unified: suite !== "bookworm",
    });
    await waitForBanner(address4, sshPort);
  }

  function inside(): Container {
    if (!container) throw new Error(`${name} is off`);
    return container;
  }
  const leader = (): number => inside().leader();
  const run = async (command: string | readonly string[], options: RunOptions = {}): Promise<Outcome> =>
    inside().run(typeof command === "string" ? ["sh", "-c", command] : command, options);

  try {
    for (const folder of ["root", "upper", "work"]) mkdirSync(join(base, folder), { mode: 0o755 });
    const key = options.key ?? makeKey(base, "login");
    const host = makeKey(base, "host");
    const hostKey = host.publicKey.split(" ").slice(0, 2).join(" ");
    const knownHostsFile = join(base, "known_hosts");
    const names = [address4, address6].map((address) => (sshPort === 22 ? address : `[${address}]:${sshPort}`));
    writeFileSync(knownHostsFile, names.map((known) => `${known} ${hostKey}\n`).join(""));
    whileMounted({ lower, base, root }, () => {
      describe(root, { name, network, addresses, sshPort });
      if (options.userData === undefined) addLogin(root, { login, user, password, key: key.publicKey });
      else plantUserData(root, name, options.userData);
      for (const file of ["ssh_host_ecdsa_key", "ssh_host_rsa_key"]) {
        for (const end of ["", ".pub"]) rmSync(join(root, "etc/ssh", `${file}${end}`), { force: true });
      }
      execFileSync("install", ["-m", "600", host.file, join(root, "etc/ssh/ssh_host_ed25519_key")]);
      execFileSync("install", ["-m", "644", `${host.file}.pub`, join(root, "etc/ssh/ssh_host_ed25519_key.pub")]);
      options.prepare?.(root);
    });
    await boot();
    const files = createFileComparison({ lower, upper: join(base, "upper"), merged: () => `/proc/${leader()}/root` });
    files.mark();
    return {
      ...addresses,
      name,
      network,
      sshPort,
      user,
      password,
      key,
      hostKey,
      knownHostsFile,
      run,
      async good(command) {
        const { code, stdout, text } = await run(command);
        if (code !== 0) throw new Error(`${String(command)} on ${name} ended with ${code}:\n${text}`);
        return stdout;
      },
      ssh(command) {
        const known = ["-o", `UserKnownHostsFile=${knownHostsFile}`, "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"];
        return runCommand([
          "ssh",
          "-F",
          "none",
          "-i",
          key.file,
          "-p",
          String(sshPort),
          ...known,
          `${user}@${address4}`,
          command,
        ]);
      },
      leader,
      file: (path) => join(`/proc/${leader()}/root`, path),
      async reboot() {
        const before = leader();
        // The way to the answer may be gone before the answer.
        await run(["systemctl", "reboot"]).catch(() => {});
        // Some kernels let systemd-nspawn start over, with others it ends.
        if ((await inside().restarted(before)) === "ended") return await boot();
        await inside().booted(before);
        await waitForBanner(address4, sshPort);
      },
      async powerOff() {
        await inside().end("at once");
        container = undefined;
      },
      boot,
      files,
      changedFiles: async (how = {}) => files.changes(how.all === true),
      markPristine: async () => files.mark(),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Sees all its files here for the time of `work`. */
function whileMounted({ lower, base, root }: { lower: string; base: string; root: string }, work: () => void): void {
  const layers = `lowerdir=${lower},upperdir=${join(base, "upper")},workdir=${join(base, "work")}`;
  execFileSync("mount", ["-t", "overlay", "-o", layers, "overlay", root]);
  try {
    work();
  } finally {
    execFileSync("umount", [root]);
  }
}

interface Description {
  name: string;
  network: Network;
  addresses: Addresses;
  sshPort: number;
}

/** Its name, its wire and where its packages come from: what an installer would have written. */
function describe(root: string, { name, network, addresses: { address4, address6 }, sshPort }: Description): void {
  const write = (path: string, text: string): void => writeFileSync(join(root, path), text);
  write("etc/hostname", `${name}\n`);
  write("etc/hosts", `127.0.0.1 localhost\n::1 localhost\n127.0.1.1 ${name}\n`);
  write("etc/resolv.conf", "# Nobody is asked for names: what is known stands in /etc/hosts.\n");
  write("etc/apt/sources.list", sourcesList);
  write("etc/machine-id", `${randomBytes(16).toString("hex")}\n`);
  rmSync(join(root, "var/lib/apt/lists"), { recursive: true, force: true });
  mkdirSync(join(root, "var/cache/apt/archives/partial"), { recursive: true });
  write(
    "etc/systemd/network/10-wire.network",
    `[Match]
Name=host0

[Network]
Address=${address4}/${network.prefix4}
Address=${address6}/${network.prefix6}
Gateway=${network.address4}
Gateway=${network.address6}
IPv6AcceptRA=no
IPv6DuplicateAddressDetection=0
`,
  );
  execFileSync("systemctl", ["--root", root, "--quiet", "enable", "systemd-networkd.service"], { stdio: "pipe" });
  if (sshPort !== 22) write("etc/ssh/sshd_config.d/port.conf", `Port ${sshPort}\n`);
}

interface Login {
  login: NonNullable<MachineOptions["login"]>;
  user: string;
  password: string | undefined;
  key: string;
}

function addLogin(root: string, { login, user, password, key }: Login): void {
  const home = user === "root" ? "/root" : `/home/${user}`;
  if (user !== "root") execFileSync("useradd", ["--root", root, "--create-home", "--shell", "/bin/bash", user]);
  if (password !== undefined) execFileSync("chpasswd", ["--root", root], { input: `${user}:${password}\n` });
  const folder = join(root, home, ".ssh");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, "authorized_keys"), `${key}\n`, { mode: 0o600 });
  execFileSync("chroot", [root, "chown", "-R", `${user}:`, home]);
  if (login === "sudo") appendFileSync(join(root, "etc/sudoers.d/admin"), `${user} ALL=(ALL) NOPASSWD: ALL\n`, { mode: 0o440 });
  if (login === "sudo with password")
    appendFileSync(join(root, "etc/sudoers.d/admin"), `${user} ALL=(ALL) ALL\n`, { mode: 0o440 });
}
