/** The pause after a crash that grows with each, for a systemd that cannot do that by itself (before 254). */
import { helperFolder, type Machine, type SystemFile, systemFile } from "./machine.ts";

export const restartDelayPath = (machine: Machine): string => `${helperFolder(machine)}/restart-delay`;

/** Runs as the service's ExecStopPost, as its user and in its sandbox. */
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
  return [systemFile(restartDelayPath(machine), lines, { mode: "0755", validate: 'sh -n "$FILE"' })];
}
