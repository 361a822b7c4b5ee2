/** The firewall by ufw: an application profile, and only rules that were not there before are added or taken away. */
import { printSshPorts, servedPorts, sshPorts } from "./firewall-ports.ts";
import { helperFolder, type Machine, type SystemFile, systemFile } from "./machine.ts";

const application = "OpenClaw";

export function renderUfw(machine: Machine): SystemFile[] {
  const helper = `${helperFolder(machine)}/firewall`;
  const profile = [
    `[${application}]`,
    "title=OpenClaw",
    "description=What the OpenClaw server is reached by",
    `ports=${servedPorts(machine).join(",")}/tcp`,
  ];
  return [
    systemFile(`/etc/ufw/applications.d/openclaw`, profile),
    systemFile(helper, program(machine), {
      mode: "0755",
      validate: 'sh -n "$FILE"',
      reload: [`${helper} up`],
      remove: [`${helper} down`],
    }),
  ];
}

function program(machine: Machine): string[] {
  const added = `${machine.paths.etc}/ufw-added`;
  return [
    "#!/bin/sh",
    "# up: lets in SSH before all else, then the server's ports, and switches ufw on where it was off.",
    "# down: takes away what was added here, and switches ufw off where it was off before.",
    "set -eu",
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    `added=${added}`,
    ...printSshPorts,
    "# Somebody else's rule stays somebody else's.",
    "allow() {",
    '  if ufw show added | grep -qxF "ufw allow $1"; then return 0; fi',
    '  ufw allow "$1"',
    '  echo "$1" >> "$added"',
    "}",
    'case "$1" in',
    "  up)",
    `    for port in ${sshPorts(machine).join(" ")} $(ssh_ports); do allow "$port/tcp"; done`,
    `    allow ${application}`,
    `    ufw app update ${application}`,
    "    if ufw status | grep -q '^Status: inactive'; then",
    '      echo "ufw was off" >> "$added"',
    "      ufw --force enable",
    "    fi",
    "    ;;",
    "  down)",
    '    [ -e "$added" ] || exit 0',
    '    if grep -qx "ufw was off" "$added"; then ufw disable; fi',
    '    grep -vx "ufw was off" "$added" | sort -u | while read -r rule; do ufw delete allow "$rule" || true; done',
    '    rm -f "$added"',
    "    ;;",
    "esac",
  ];
}
