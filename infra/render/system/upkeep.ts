/** The server keeps itself: the right time, and security upgrades. */
import { type Machine, type SystemFile, systemFile } from "./machine.ts";

export function renderUpkeep(machine: Machine): SystemFile[] {
  return [...timeSync(machine), ...upgrades(machine)];
}

function timeSync({ timeSync }: Machine): SystemFile[] {
  if (!timeSync) return [];
  const lines = [
    "[Time]",
    "# Tokens and certificates end at a time: asked a bit more often than usual. Servers named elsewhere stay.",
    "PollIntervalMaxSec=1024",
    "SaveIntervalSec=60",
  ];
  return [
    systemFile("/etc/systemd/timesyncd.conf.d/60-openclaw.conf", lines, {
      reload: ["systemctl enable systemd-timesyncd.service", "systemctl restart systemd-timesyncd.service"],
    }),
  ];
}

function upgrades({ unattendedUpgrades }: Machine): SystemFile[] {
  if (!unattendedUpgrades) return [];
  const lines = [
    "// Which upgrades are taken is the distribution's own list: security.",
    'APT::Periodic::Update-Package-Lists "1";',
    'APT::Periodic::Unattended-Upgrade "1";',
    'APT::Periodic::AutocleanInterval "7";',
    "// Nobody restarts a server under somebody's stream.",
    'Unattended-Upgrade::Automatic-Reboot "false";',
    'Unattended-Upgrade::MinimalSteps "true";',
  ];
  return [
    systemFile("/etc/apt/apt.conf.d/52openclaw-upgrades", lines, {
      validate: 'apt-config -c "$FILE" dump > /dev/null',
      reload: ["systemctl enable --now apt-daily.timer apt-daily-upgrade.timer"],
    }),
  ];
}
