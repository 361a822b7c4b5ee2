/** The firewall by nftables: a table of our own, beside those of others, which are neither read nor flushed. */
import { printSshPorts, servedPorts, sshPorts } from "./firewall-ports.ts";
import { helperFolder, type Machine, type SystemFile, systemFile } from "./machine.ts";

const unit = "openclaw-firewall";

export function renderNftables(machine: Machine): SystemFile[] {
  const rules = `${machine.paths.etc}/firewall.nft`;
  const helper = `${helperFolder(machine)}/firewall`;
  const units = "/etc/systemd/system";
  return [
    systemFile(rules, ruleset(machine), { validate: 'nft -c -f "$FILE"' }),
    systemFile(helper, program(rules), { mode: "0755", validate: 'sh -n "$FILE"' }),
    systemFile(`${units}/${unit}.service`, service(helper), {
      reload: ["systemctl daemon-reload", `systemctl enable ${unit}.service`, `systemctl reload-or-restart ${unit}.service`],
      remove: [`systemctl disable --now ${unit}.service`],
    }),
    systemFile(`${units}/${unit}-ports.service`, again(helper), { reload: ["systemctl daemon-reload"] }),
    systemFile(`${units}/${unit}.path`, watcher(), {
      reload: ["systemctl daemon-reload", `systemctl enable --now ${unit}.path`],
      remove: [`systemctl disable --now ${unit}.path`],
    }),
  ];
}

/** One transaction: there is no moment without the rules, and with a fault in them the ones of before stay. */
function ruleset(machine: Machine): string[] {
  return [
    "#!/usr/sbin/nft -f",
    "# Put in force by openclaw-firewall.service. Tables of others are not touched; but what is dropped here is dropped,",
    "# whatever they say, and the other way round.",
    "table inet openclaw",
    "delete table inet openclaw",
    "",
    "table inet openclaw {",
    "  # Every port of the SSH server; those that it is moved to later are added by the unit.",
    "  set ssh_ports {",
    "    type inet_service",
    `    elements = { ${sshPorts(machine).join(", ")} }`,
    "  }",
    "  set served_ports {",
    "    type inet_service",
    `    elements = { ${servedPorts(machine).join(", ")} }`,
    "  }",
    "",
    "  chain input {",
    "    type filter hook input priority filter; policy drop;",
    "    ct state { established, related } accept",
    '    iifname "lo" accept',
    "    # First of the new ones, so that no rule below can lock anybody out.",
    "    tcp dport @ssh_ports accept",
    "    ct state invalid drop",
    "    tcp dport @served_ports accept",
    "    # What IPv4 and IPv6 need in order to work: errors, sizes of packets, neighbours, routers.",
    "    icmp type { destination-unreachable, time-exceeded, parameter-problem } accept",
    "    icmp type echo-request limit rate 50/second accept",
    "    icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept",
    "    icmpv6 type echo-request limit rate 50/second accept",
    "    ip6 hoplimit 255 icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept",
    "    ip6 saddr fe80::/10 icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept",
    "    # Answers of DHCP do not come from where the question went.",
    "    udp sport 67 udp dport 68 accept",
    "    ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
    "  }",
    "}",
  ];
}

function program(rules: string): string[] {
  return [
    "#!/bin/sh",
    "# up: the rules, and the ports that the SSH server is set to now. down: without our table.",
    "set -eu",
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    ...printSshPorts,
    'case "$1" in',
    "  up)",
    `    nft -f ${rules}`,
    "    for port in $(ssh_ports); do",
    '      nft add element inet openclaw ssh_ports "{ $port }"',
    "    done",
    "    ;;",
    "  down) nft delete table inet openclaw 2> /dev/null || true ;;",
    "esac",
  ];
}

function service(helper: string): string[] {
  return [
    "[Unit]",
    "Description=Firewall of the OpenClaw server",
    "DefaultDependencies=no",
    "Wants=network-pre.target",
    "Before=network-pre.target shutdown.target",
    "Conflicts=shutdown.target",
    "# Debian's own flushes everything when it starts, ours as well: then ours comes again.",
    "After=local-fs.target nftables.service",
    "PartOf=nftables.service",
    "ReloadPropagatedFrom=nftables.service",
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    "Type=oneshot",
    "RemainAfterExit=yes",
    `ExecStart=${helper} up`,
    `ExecReload=${helper} up`,
    `ExecStop=${helper} down`,
    "",
    "[Install]",
    "WantedBy=sysinit.target",
  ];
}

function again(helper: string): string[] {
  return [
    "[Unit]",
    "Description=Takes the SSH server's ports into the OpenClaw server's firewall",
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    "Type=oneshot",
    `ExecStart=${helper} up`,
  ];
}

function watcher(): string[] {
  return [
    "[Unit]",
    "Description=The OpenClaw server's firewall follows the SSH server's port",
    "",
    "[Path]",
    "PathChanged=/etc/ssh/sshd_config",
    "PathChanged=/etc/ssh/sshd_config.d",
    `Unit=${unit}-ports.service`,
    "",
    "[Install]",
    "WantedBy=multi-user.target",
  ];
}
