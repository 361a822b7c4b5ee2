/** The system users, and the folders with their owners. */
import { type Machine, type SystemFile, systemFile } from "./machine.ts";

/** No user is taken away by a renderer: as long as its data stays, its id must not become somebody else's. */
export function renderAccounts(machine: Machine): SystemFile[] {
  const { user, paths, vllm, ollama } = machine;
  const account = (name: string, home: string, what: string): string => `u ${name} - "${what}" ${home} /usr/sbin/nologin`;
  const users = [
    account(user, paths.state, "OpenClaw gateway"),
    ...(vllm ? [account("openclaw-vllm", "/var/lib/openclaw-vllm", "OpenClaw model server")] : []),
    ...(ollama ? [account("openclaw-ollama", "/var/lib/openclaw-ollama", "OpenClaw model server")] : []),
  ];
  const folders = [
    `d ${paths.opt} 0755 root root`,
    `d ${paths.opt}/bin 0755 root root`,
    `d ${paths.opt}/releases 0755 root root`,
    "# The gateway reads its config there, and none of the secrets: it is given those by systemd.",
    `d ${paths.etc} 0750 root ${user}`,
    `d ${paths.etc}/secrets 0700 root root`,
    `d ${paths.state} 0700 ${user} ${user}`,
    ...(machine.proxy.accessLog ? ["d /var/log/openclaw 0750 root adm"] : []),
  ];
  const users_ = "/etc/sysusers.d/openclaw.conf";
  const folders_ = "/etc/tmpfiles.d/openclaw.conf";
  return [
    systemFile(users_, users, { reload: [`systemd-sysusers ${users_}`] }),
    systemFile(folders_, folders, { reload: [`systemd-tmpfiles --create ${folders_}`] }),
  ];
}
