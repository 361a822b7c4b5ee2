/** A swap file, made on the server and used from its start on. */
import { helperFolder, type Machine, mebibyte, type SystemFile, systemFile } from "./machine.ts";

const file = "/var/swap.openclaw";
/** systemd asks that the name is the path's. */
const swapUnit = "var-swap.openclaw.swap";
const makerUnit = "openclaw-swapfile.service";

export function renderSwap(machine: Machine): SystemFile[] {
  const bytes = Math.floor(machine.swapBytes / mebibyte) * mebibyte;
  if (bytes === 0) return [];
  const maker = `${helperFolder(machine)}/make-swap-file`;
  const script = [
    "#!/bin/sh",
    "# Makes the swap file where there is none of this size.",
    "set -eu",
    `file=${file} bytes=${bytes}`,
    'if [ "$(stat -c %s "$file" 2> /dev/null || echo 0)" = "$bytes" ]; then exit 0; fi',
    'swapoff "$file" 2> /dev/null || true',
    'rm -f "$file"',
    'install -m 0600 /dev/null "$file"',
    "# File systems that copy on write refuse to swap otherwise; the others do not know it.",
    'chattr +C "$file" 2> /dev/null || true',
    `fallocate -l "$bytes" "$file" || dd if=/dev/zero of="$file" bs=1M count=${bytes / mebibyte} status=none`,
    'mkswap "$file"',
  ];
  const service = [
    "[Unit]",
    "Description=The OpenClaw server's swap file",
    "DefaultDependencies=no",
    "After=local-fs.target",
    `Before=${swapUnit} shutdown.target`,
    "Conflicts=shutdown.target",
    "",
    "[Service]",
    "Type=oneshot",
    `ExecStart=${maker}`,
  ];
  const unit = [
    "[Unit]",
    "Description=Swap of the OpenClaw server",
    `Requires=${makerUnit}`,
    `After=${makerUnit}`,
    "",
    "[Swap]",
    `What=${file}`,
    "Options=discard,nofail",
    "",
    "[Install]",
    "WantedBy=swap.target",
  ];
  return [
    systemFile(maker, script, { mode: "0755", validate: 'sh -n "$FILE"' }),
    systemFile(`/etc/systemd/system/${makerUnit}`, service, { reload: ["systemctl daemon-reload"] }),
    systemFile(`/etc/systemd/system/${swapUnit}`, unit, {
      reload: [
        "systemctl daemon-reload",
        `systemctl enable ${swapUnit}`,
        `systemctl restart ${makerUnit}`,
        `systemctl start ${swapUnit}`,
      ],
      remove: [`systemctl disable --now ${swapUnit}`, `rm -f ${file}`],
    }),
  ];
}
