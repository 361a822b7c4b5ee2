/** The user that `up` comes as may become root, where it is not root itself. */
import { type Machine, type SystemFile, systemFile } from "./machine.ts";

export function renderSudoers({ login }: Machine): SystemFile[] {
  if (login === "root") return [];
  const lines = [
    "# Comes by SSH with a key, and has no password to type. What it does as root is not one fixed list of commands: it puts",
    "# packages, files and services in place, so a shorter list would only look stricter.",
    `${login} ALL=(root) NOPASSWD: ALL`,
    `Defaults:${login} !requiretty`,
  ];
  // Files with a dot in their name are passed over there.
  return [systemFile("/etc/sudoers.d/60-openclaw", lines, { mode: "0440", validate: 'visudo -c -f "$FILE"' })];
}
