/** The commands that put files in force, or take them out of it: each once. */
import type { SystemFile } from "./machine.ts";

/** In the order of the files; systemd reads its units before anything is done with one. */
export function reloadCommands(files: readonly SystemFile[]): string[] {
  const all = files.flatMap(({ reload = [] }) => reload);
  const read = "systemctl daemon-reload";
  const rest = all.filter((command) => command !== read);
  const first = rest.filter((command) => /^systemd-(sysusers|tmpfiles) /.test(command));
  return [...new Set([...first, ...(all.includes(read) ? [read] : []), ...rest])];
}

/** Against the order in which they were put in force. */
export function removeCommands(files: readonly SystemFile[]): string[] {
  return [...new Set([...files].reverse().flatMap(({ remove = [] }) => remove))];
}
