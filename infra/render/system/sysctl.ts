/** Settings of the kernel for many connections and long streams. */
import { type Machine, type SystemFile, systemFile } from "./machine.ts";

/** A `-` in front: a kernel or a container that lacks one is no reason to leave out the others. */
export function renderSysctl(machine: Machine): SystemFile[] {
  if (!machine.sysctl) return [];
  const path = "/etc/sysctl.d/60-openclaw.conf";
  const lines = [
    "# Connections that wait to be accepted, and those whose handshake is under way.",
    "-net.core.somaxconn = 65535",
    "-net.ipv4.tcp_max_syn_backlog = 65535",
    "-net.core.netdev_max_backlog = 16384",
    "# Large answers over long distances.",
    "-net.core.rmem_max = 16777216",
    "-net.core.wmem_max = 16777216",
    "-net.ipv4.tcp_rmem = 4096 131072 16777216",
    "-net.ipv4.tcp_wmem = 4096 65536 16777216",
    "# A stream that pauses goes on at the speed that it had.",
    "-net.ipv4.tcp_slow_start_after_idle = 0",
    "-net.ipv4.tcp_fin_timeout = 15",
    "# A silent connection whose other end is gone is noticed after eight minutes.",
    "-net.ipv4.tcp_keepalive_time = 300",
    "-net.ipv4.tcp_keepalive_intvl = 30",
    "-net.ipv4.tcp_keepalive_probes = 6",
    "# For connections to providers; it begins above the ports that the gateway listens on.",
    "-net.ipv4.ip_local_port_range = 20000 65535",
    "-fs.file-max = 1000000",
    ...(machine.proxy.kind === "caddy"
      ? [
          "# Caddy listens anew at each reload: who waits at its socket of before is handed to the next one instead of reset.",
          "-net.ipv4.tcp_migrate_req = 1",
        ]
      : []),
    ...(machine.redis
      ? ["# Redis writes its files from a copy of itself, which needs the memory only on paper.", "-vm.overcommit_memory = 1"]
      : []),
    ...(machine.swapBytes > 0 ? ["# Swap is for what is never used.", "-vm.swappiness = 10"] : []),
  ];
  return [
    systemFile(path, lines, {
      reload: [`/usr/lib/systemd/systemd-sysctl ${path}`],
      // The kernel keeps what nobody else sets until it is started again.
      remove: [`rm -f ${path} && systemctl restart systemd-sysctl.service`],
    }),
  ];
}
