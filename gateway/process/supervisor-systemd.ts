/**
 * The supervisor as a service of the user's systemd, where that exists and may outlive the session (linger): then the
 * gateway comes back after a restart of the machine, too. Everywhere else the supervisor runs by itself.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import type { SupervisorFiles } from "./supervisor-files.ts";

/** Set in the service: a gateway whose supervisor dies there leaves the rest to systemd. */
export const supervisedBySystemd = "OPENCLAW_SUPERVISED_BY_SYSTEMD";
/** `plain` keeps systemd out of it. */
const choiceVariable = "OPENCLAW_SUPERVISOR";
const lingerNote = "# Lingering was off before; it is turned off again with the last of these services.";
const commandTimeoutMs = 10_000;

export interface UnitOptions {
  files: SupervisorFiles;
  node: string;
  entry: string;
  environment: { [name: string]: string };
  lingerWasOff: boolean;
  stopTimeoutSeconds: number;
}

/** Pure. Paths are quoted for systemd (systemd.service(5): `%` and `$` are doubled). */
export function renderUnit(options: UnitOptions): string {
  const quote = (text: string): string => `"${text.replace(/[\\"]/g, "\\$&").replaceAll("%", "%%")}"`;
  const word = (text: string): string => quote(text).replaceAll("$", "$$$$");
  const command = [options.node, "--disable-warning=ExperimentalWarning", options.entry, options.files.directory].map(word);
  const environment = { ...options.environment, [supervisedBySystemd]: "1" };
  return [
    ...(options.lingerWasOff ? [lingerNote] : []),
    "[Unit]",
    `Description=OpenClaw gateway in ${options.files.directory.replaceAll("%", "%%")}`,
    "# A supervisor that cannot even start (its files are gone, say) is given up, until the next `npm run start` or boot.",
    "StartLimitIntervalSec=60",
    "StartLimitBurst=30",
    "",
    "[Service]",
    `ExecStart=${command.join(" ")}`,
    ...Object.entries(environment).map(([name, value]) => `Environment=${quote(`${name}=${value}`)}`),
    `StandardOutput=append:${options.files.log.replaceAll("%", "%%")}`,
    "StandardError=inherit",
    "# An end by `npm run stop` is exit code 0 and stays.",
    "Restart=on-failure",
    "# systemd adds up to a quarter of a second by itself.",
    "RestartSec=0",
    "RestartPreventExitStatus=75",
    "KillMode=mixed",
    `TimeoutStopSec=${options.stopTimeoutSeconds}`,
    "",
    "[Install]",
    "WantedBy=default.target",
    "",
  ].join("\n");
}

/** True where it took over. False where there is no systemd for this user, or it may not outlive the session. */
export async function startUnit(options: Omit<UnitOptions, "lingerWasOff">): Promise<boolean> {
  if (process.platform !== "linux" || process.env[choiceVariable] === "plain" || !process.env.XDG_RUNTIME_DIR) return false;
  if (!(await succeeds("systemctl", ["--user", "show-environment"]))) return false;
  const user = userInfo().username;
  const lingers = (await output("loginctl", ["show-user", user, "--property=Linger", "--value"])).trim() === "yes";
  if (!lingers && !(await succeeds("loginctl", ["enable-linger", user]))) return false;
  const name = unitName(options.files);
  mkdirSync(unitFolder(), { recursive: true });
  // Proxy addresses may hold a password.
  writeFileSync(join(unitFolder(), name), renderUnit({ ...options, lingerWasOff: !lingers }), { mode: 0o600 });
  await succeeds("systemctl", ["--user", "daemon-reload"]);
  await succeeds("systemctl", ["--user", "reset-failed", name]);
  if (await succeeds("systemctl", ["--user", "enable", "--now", name])) return true;
  await removeUnit(options.files);
  return false;
}

/** After a stop: the service is not to come back with the machine. */
export async function removeUnit(files: SupervisorFiles): Promise<void> {
  const path = join(unitFolder(), unitName(files));
  if (!existsSync(path)) return;
  const lingerWasOff = readFileSync(path, "utf8").startsWith(lingerNote);
  await succeeds("systemctl", ["--user", "disable", unitName(files)]);
  rmSync(path, { force: true });
  await succeeds("systemctl", ["--user", "daemon-reload"]);
  if (!lingerWasOff) return;
  const others = readdirSync(unitFolder()).filter((name) => name.startsWith("openclaw-gateway-"));
  const [heir] = others;
  if (!heir) await succeeds("loginctl", ["disable-linger", userInfo().username]);
  // The last service will need to know.
  else prependOnce(join(unitFolder(), heir));
}

function prependOnce(file: string): void {
  const text = readFileSync(file, "utf8");
  if (!text.startsWith(lingerNote)) writeFileSync(file, `${lingerNote}\n${text}`, { mode: 0o600 });
}

function unitName(files: SupervisorFiles): string {
  return `openclaw-gateway-${createHash("sha256").update(files.directory).digest("hex").slice(0, 8)}.service`;
}

function unitFolder(): string {
  return join(process.env.XDG_CONFIG_HOME || join(homedir(), ".config"), "systemd", "user");
}

function succeeds(command: string, args: string[]): Promise<boolean> {
  return new Promise((resolve) => execFile(command, args, { timeout: commandTimeoutMs }, (error) => resolve(error === null)));
}

function output(command: string, args: string[]): Promise<string> {
  return new Promise((resolve) => execFile(command, args, { timeout: commandTimeoutMs }, (_error, stdout) => resolve(stdout)));
}
