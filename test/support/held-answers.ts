/**
 * A server on which what comes by SSH waits before it begins, and waits again with its answer when it is done, so that the
 * connection can be cut in either moment. Each command waits once in each of these ways, or each kind of command.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Machine } from "./machine.ts";

/** In the server: `armed` says that something waits; by process, what runs and what waits; `cut` has what waited before. */
const folder = "/run/held";

const script = `#!/bin/sh
# A look at the server changes nothing.
case $SSH_ORIGINAL_COMMAND in *' -s -- inspect '*) exec bash -c "$SSH_ORIGINAL_COMMAND" ;; esac
[ -e ${folder}/armed ] || exec bash -c "$SSH_ORIGINAL_COMMAND"
echo >${folder}/running/$$
wait_where_new() {
  grep -qxF -e "$1" ${folder}/cut && return
  printf '%s\\n' "$1" >${folder}/.$$
  mv ${folder}/.$$ ${folder}/waiting/$$
  rm ${folder}/running/$$
  exec sleep 3600
}
kind=$(printf '%s' "$SSH_ORIGINAL_COMMAND" | sed -n '1s#^.*/openclaw-host/agent [0-9a-f]* \\(put [^ ]*\\|[^ ]*\\).*#\\1#p')
input=
case $SSH_ORIGINAL_COMMAND:$kind in
*sftp-server*) kind=copy ;;
*:settle)
  # There are several, which put other files in force.
  input=${folder}/.input.$$
  cat >$input
  kind="settle $(head -n 1 $input | cut -f 1)"
  ;;
*:) kind=agent ;;
esac
[ -e ${folder}/each ] || kind=\${kind%% *}
wait_where_new "$kind: not begun"
if [ "$kind" = copy ]; then
  rm ${folder}/running/$$
  exec $SSH_ORIGINAL_COMMAND
fi
if [ -n "$input" ]; then bash -c "$SSH_ORIGINAL_COMMAND" <$input; else bash -c "$SSH_ORIGINAL_COMMAND"; fi
code=$?
wait_where_new "$kind: answer lost"
rm ${folder}/running/$$
exit $code
`;

/** Before the server's first boot; nothing waits until it is told so. */
export function prepareHolding(root: string, user: string): void {
  writeFileSync(join(root, "usr/local/sbin/held"), script, { mode: 0o755 });
  mkdirSync(join(root, "etc/ssh/sshd_config.d"), { recursive: true });
  writeFileSync(join(root, "etc/ssh/sshd_config.d/held.conf"), `Match User ${user}\n  ForceCommand /usr/local/sbin/held\n`);
}

export interface HeldAnswers {
  /** Whenever all that runs on the server waits, `cut` is called. Resolves after `ended` with what was cut. */
  watch(cut: () => void, ended: AbortSignal): Promise<string[]>;
  /** Nothing waits any more. */
  disarm(): Promise<void>;
}

const lookMs = 20;
/** So many looks in a row find the same: those that came together are cut together. */
const looksAlike = 6;

/** `each`: what puts one file is another command than what puts another one. */
export async function holdAnswers(machine: Machine, each: boolean): Promise<HeldAnswers> {
  const marks = ["cut", "armed", ...(each ? ["each"] : [])].map((name) => `${folder}/${name}`).join(" ");
  await machine.good(`mkdir -p -m 777 ${folder} ${folder}/running ${folder}/waiting && touch ${marks}`);
  const names = (kind: string): string[] => readdirSync(machine.file(`${folder}/${kind}`)).sort();
  const isThere = (pid: string): boolean => existsSync(machine.file(`/proc/${pid}`));
  /** Those of an engine that was killed go on; nobody waits for their answers. */
  const forgotten = new Set<string>();

  async function release(pids: string[]): Promise<void> {
    if (pids.length === 0) return;
    const there = pids.filter(isThere);
    if (there.length > 0) await machine.run(["kill", ...there]);
    await machine.good(`cd ${folder}/waiting && rm -f ${pids.join(" ")}`);
  }

  return {
    async watch(cut, ended) {
      const all: string[] = [];
      let before = "";
      let alike = 0;
      while (!ended.aborted) {
        await pause(lookMs);
        const waiting = names("waiting");
        await release(waiting.filter((pid) => forgotten.has(pid)));
        const mine = waiting.filter((pid) => !forgotten.has(pid));
        const running = names("running").filter((pid) => !forgotten.has(pid) && isThere(pid));
        alike = before === mine.join() ? alike + 1 : 0;
        before = mine.join();
        if (mine.length === 0 || running.length > 0 || alike < looksAlike) continue;
        const kinds = new Set(mine.map((pid) => readFileSync(machine.file(`${folder}/waiting/${pid}`), "utf8").trim()));
        writeFileSync(machine.file(`${folder}/cut`), [...kinds].map((kind) => `${kind}\n`).join(""), { flag: "a" });
        all.push(...kinds);
        cut();
        await release(mine);
      }
      for (const pid of [...names("running"), ...names("waiting")]) forgotten.add(pid);
      await release(names("waiting"));
      return all;
    },
    async disarm() {
      await machine.good(`rm ${folder}/armed`);
    },
  };
}
