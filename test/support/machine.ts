/**
 * A server for a test: a fresh Debian that boots its own systemd, with sshd, addresses of both kinds, and packages to install
 * from a repository of its own, without the internet. What it changes lies in a layer over the pristine files.
 */
import type { Network } from "./network.ts";
import type { Outcome } from "./outcome.ts";
import type { KeyPair } from "./sshd.ts";

export interface MachineOptions {
  /** To be on one network with others; otherwise it has one of its own. */
  network?: Network;
  /** Who logs in by key: root, or a user who may use sudo without a password, with one, or not at all. */
  login?: "root" | "sudo" | "sudo with password" | "plain user";
  /** Changes its files before the first boot; what it does counts as pristine. `root` is the folder of all its files. */
  prepare?(root: string): void;
  /** Folders of this machine that are seen in there, read-only: path in there to path here. */
  binds?: { [inside: string]: string };
}

export interface Machine {
  readonly name: string;
  readonly address4: string;
  readonly address6: string;
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
  run(command: string | readonly string[]): Promise<Outcome>;
  /** Over SSH by the user, with the system's own client. */
  ssh(command: string): Promise<Outcome>;
  /** Its files as they are now, seen from here; only while it runs. */
  file(path: string): string;
  /** It restarts itself; resolves when it is up again and answers on its SSH port. */
  reboot(): Promise<void>;
  /** As by a power cut: no service ends in order. */
  powerOff(): Promise<void>;
  boot(): Promise<void>;
  /** What differs from the state after its first boot; what any running Debian changes by itself is left out unless asked for. */
  changedFiles(options?: { all?: boolean }): Promise<FileChange[]>;
  /** Ends it and removes its files; also good for one that is off. */
  stop(): Promise<void>;
}

export interface FileChange {
  readonly path: string;
  readonly change: "added" | "changed" | "removed";
}

/** Why no such machine can run here, in words; undefined where one can. Installs the Debian packages that it needs. */
export function whyNoMachine(): string | undefined {
  return "not yet";
}

/** Booted, reachable. */
export async function startMachine(name: string, _options: MachineOptions = {}): Promise<Machine> {
  throw new Error(`${name}: no machine yet`);
}
