/** The distribution's packages that the system files rely on. */
import type { Machine } from "./machine.ts";

export function packagesOf(machine: Machine): string[] {
  const { proxy, firewall, fail2ban, redis, vllm } = machine;
  const packages = [
    "ca-certificates",
    ...(proxy.kind === "none" ? [] : [proxy.kind]),
    ...(proxy.certbot ? ["certbot"] : []),
    ...(firewall.kind === "off" ? [] : ["nftables"]),
    ...(firewall.kind === "ufw" ? ["ufw"] : []),
    // It bans by nftables, and reads the journal by the second one.
    ...(fail2ban ? ["fail2ban", "nftables", "python3-systemd"] : []),
    ...(machine.timeSync ? ["systemd-timesyncd"] : []),
    ...(machine.unattendedUpgrades ? ["unattended-upgrades"] : []),
    ...(proxy.kind === "nginx" && proxy.accessLog ? ["logrotate"] : []),
    ...(redis ? ["redis-server"] : []),
    ...(vllm ? ["curl"] : []),
    ...(machine.login === "root" ? [] : ["sudo"]),
  ];
  return [...new Set(packages)].sort();
}
