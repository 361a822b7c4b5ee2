/** The program that puts a new release, or new files, in the place of the running gateway without refusing a request. */
import { gatewayService, gatewaySocket, standInService } from "./gateway-names.ts";
import { helperFolder, type Machine, type SystemFile, systemFile } from "./machine.ts";

/** `replace-gateway` takes over `<opt>/next`; without that link it starts the present release anew, with the files as they are. */
export const replaceGatewayPath = (machine: Machine): string => `${helperFolder(machine)}/replace-gateway`;

/**
 * Ends with 0 when the gateway runs from the release that `next` named. With another code the release of before serves as
 * ever, and what the new one said is on standard error.
 */
export function renderReplaceGateway(machine: Machine): SystemFile[] {
  const { paths } = machine;
  const lines = [
    "#!/bin/sh",
    "# Replaces the running gateway: the stand-in starts first, is ready, and serves while the other one comes back.",
    "set -eu",
    `cd ${paths.opt}`,
    "exec 9> replace.lock",
    "flock 9",
    `main=${gatewayService} standin=${standInService} socket=${gatewaySocket}`,
    'systemctl reset-failed "$main" "$standin" "$socket" 2> /dev/null || true',
    "",
    "# systemctl returns when the gateway that it starts has said that it is ready.",
    'point() { ln -sfn "$2" "$1.new" && mv -T "$1.new" "$1"; }',
    'said() { journalctl -q -o cat -n 20 _SYSTEMD_INVOCATION_ID="$(systemctl show -p InvocationID --value "$1")" >&2 || true; }',
    "",
    "before=$(readlink current || true)",
    '[ -L next ] || point next "$before"',
    "release=$(readlink next)",
    "",
    'if ! systemctl is-active -q "$main"; then',
    '  point current "$release"',
    '  if systemctl start "$main"; then',
    "    rm -f next",
    "    exit 0",
    "  fi",
    '  said "$main"',
    '  [ -z "$before" ] || point current "$before"',
    '  echo "the gateway of $release does not start" >&2',
    "  exit 1",
    "fi",
    "",
    'if ! systemctl start "$standin"; then',
    '  said "$standin"',
    '  systemctl stop -q "$standin" || true',
    '  systemctl reset-failed "$standin" 2> /dev/null || true',
    "  rm -f next",
    '  echo "the gateway of $release does not start; $before goes on" >&2',
    "  exit 1",
    "fi",
    'point current "$release"',
    'if ! systemctl restart "$main"; then',
    '  said "$main"',
    '  point current "$before"',
    '  systemctl restart "$main" || true',
    "  # Whichever of the two serves must not be stopped.",
    '  if systemctl is-active -q "$main"; then systemctl stop -q "$standin"; fi',
    "  rm -f next",
    '  echo "the gateway of $release does not start a second time; back to $before" >&2',
    "  exit 1",
    "fi",
    'systemctl stop -q "$standin"',
    "rm -f next",
  ];
  return [systemFile(replaceGatewayPath(machine), lines, { mode: "0755", validate: 'sh -n "$FILE"' })];
}
