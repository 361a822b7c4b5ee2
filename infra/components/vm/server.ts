/** The server as the settings name it: how it is reached, and a look at it in one round trip. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { VmSettings } from "../../settings-vm.ts";
import { parseFacts, type ServerFacts } from "./facts.ts";
import { type Login, type Route, runBySsh, SshProblem } from "./ssh.ts";

export const agentScript = readFileSync(join(import.meta.dirname, "agent.sh"), "utf8");
export const agentPath = "/var/lib/openclaw-host/agent";

/** @throws SshProblem where a key file cannot be read */
export function routeTo(vm: VmSettings, secrets: { [key: string]: string }): Route {
  const { host = "", hostKey = "", bastion, connectTimeoutSeconds } = vm;
  return {
    ...login({ ...vm, host, hostKey }, secrets),
    ...(bastion ? { bastion: login(bastion, secrets) } : {}),
    connectTimeoutMs: connectTimeoutSeconds * 1000,
  };
}

interface LoginSettings extends Omit<Login, "privateKey"> {
  identity: VmSettings["identity"];
}

function login({ host, port, user, hostKey, identity }: LoginSettings, secrets: { [key: string]: string }): Login {
  return { host, port, user, hostKey, privateKey: privateKeyOf(identity, secrets) };
}

function privateKeyOf(identity: VmSettings["identity"], secrets: { [key: string]: string }): string | undefined {
  if (identity === "agent") return undefined;
  if ("id" in identity) return withLineEnd(secrets[`secret-${identity.id}`] ?? "");
  const path = identity.file.replace(/^~(?=\/)/, homedir());
  try {
    return withLineEnd(readFileSync(path, "utf8"));
  } catch (error) {
    const why = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    throw new SshProblem("login", `vm.identity.file: ${path} cannot be read (${why}); name the file of your private key`);
  }
}

/** A setting loses the line end that key files must have. */
const withLineEnd = (key: string): string => `${key.trim()}\n`;

/** In front of what only root may do. */
export const sudoFor = (user: string): string => (user === "root" ? "" : "sudo -n ");

/** Everything that is to be known of the server: one connection, one command. @throws SshProblem */
export async function inspectServer(route: Route, packages: readonly string[]): Promise<ServerFacts> {
  const command = `${sudoFor(route.user)}sh -s -- inspect "$SSH_CONNECTION" ${packages.join(" ")}`;
  const { code, stdout, stderr } = await runBySsh(route, command, agentScript);
  if (code === 0) return parseFacts(stdout);
  if (
    /sudo: (a password is required|a terminal is required)|not in the sudoers|may not run sudo|sudo: not found|command not found/i.test(
      stderr,
    )
  ) {
    throw new SshProblem(
      "sudo",
      `${route.user}@${route.host} may not use sudo without a password; as root on the server: echo '${route.user} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/${route.user}, or set vm.user: root`,
    );
  }
  throw new SshProblem(
    "session",
    `${route.user}@${route.host} could not be looked at (exit ${code}): ${stderr.trim().slice(-500)}`,
  );
}

/** One argument of a shell's command line. */
export function quoted(text: string): string {
  return /^[A-Za-z0-9_/.:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

export interface AgentHost {
  sudo: string;
  /** Names what was set up on this very server: on one that was made anew everything is put again. */
  installation: string;
}

/** An argument `$HOME/…` is left to the login's shell; everything else is taken as it stands. */
export function agentLine({ sudo, installation }: AgentHost, args: string[]): string {
  const words = [installation, ...args].map((word) => (/^\$HOME\/[A-Za-z0-9._/-]+$/.test(word) ? `"${word}"` : quoted(word)));
  return `${sudo}sh ${agentPath} ${words.join(" ")}`;
}
