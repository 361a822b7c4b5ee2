/** What is done after the gateway's end: a pause that grows with each crash, and the end of the socket where a stop was asked for. */
import { gatewayService, gatewaySocket, standInService } from "./gateway-names.ts";
import { helperFolder, type Machine, type SystemFile, systemFile } from "./machine.ts";

export const restartDelayPath = (machine: Machine): string => `${helperFolder(machine)}/restart-delay`;

/** By root: see below. */
export const closeSocketPath = (machine: Machine): string => `${helperFolder(machine)}/close-socket`;

/**
 * systemd before 254 cannot wait longer after each crash (RestartSteps). One program for all of them: during its pause a stop
 * is noticed, in systemd's own it would leave the socket behind. Runs as the service's user and in its sandbox.
 */
export function renderRestartDelay(machine: Machine): SystemFile[] {
  const lines = [
    "#!/bin/sh",
    "# After a crash: waits longer each time, up to half a minute. A gateway that had run for a minute begins anew.",
    'file="$RUNTIME_DIRECTORY/crashes-$1"',
    '[ "$SERVICE_RESULT" = success ] && exec rm -f "$file"',
    "# A config that cannot be used is no crash: nobody restarts it.",
    '[ "$EXIT_STATUS" = 78 ] && exit 0',
    "count=0",
    'if [ -n "$(find "$file" -newermt "-100 seconds" 2>/dev/null)" ]; then read -r count < "$file" || count=0; fi',
    "count=$((count + 1))",
    'echo "$count" > "$file"',
    "# RestartSec is half a second: 0.5, 1, 2, 4, 8, 16, 30 with it.",
    'case "$count" in 1) exit 0 ;; 2) exec sleep 0.5 ;; 3) exec sleep 1.5 ;; 4) exec sleep 3.5 ;; 5) exec sleep 7.5 ;; 6) exec sleep 15.5 ;; esac',
    "exec sleep 29.5",
  ];
  const more = { mode: "0755", validate: 'sh -n "$FILE"' };
  return [systemFile(restartDelayPath(machine), lines, more), systemFile(closeSocketPath(machine), closing, more)];
}

/**
 * Of `systemctl stop` systemd tells a service nothing; its list of jobs does. PropagatesStopTo= would close the socket after
 * a crash as well, and what waits in it would be refused.
 */
const closing = [
  "#!/bin/sh",
  "# A restart and a crash keep the socket: what comes meanwhile waits in it.",
  `close() { exec systemctl --no-block stop ${gatewaySocket}; }`,
  `if systemctl list-jobs --no-legend --plain | grep -Eq ' ${gatewayService} +stop '; then close; fi`,
  "# Nor is a request to wait for somebody who mends the config.",
  `if [ "$EXIT_STATUS" = 78 ] && ! systemctl is-active -q ${standInService}; then close; fi`,
];
