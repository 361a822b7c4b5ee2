/**
 * The recorded program of remote commands by the command line, from an empty stack to its end, on a real sshd: after each step
 * the state is the recorded one, with this host's address, key and new ids in the place of the recorded ones.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Value } from "../../engine/values.ts";
import { isMap } from "../../engine/values.ts";
import { type CommandResult, createCommandLine } from "../support/command-line.ts";
import { parseCheckpoint, type ReadCheckpoint } from "../support/replay-checkpoint.ts";
import { createReplayProject } from "../support/replay-project.ts";
import { readText } from "../support/replay-recording.ts";
import { privateKey, readState } from "../support/replay-run.ts";
import { publicKeyOf, startSshd, whyNoSshd } from "../support/sshd.ts";

test("the recorded stack by the command line, from its start to its end", { skip: whyNoSshd(), timeout: 300_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "remote-cli-"));
  const project = createReplayProject("remote", "first");
  const key = privateKey();
  const sshd = await startSshd({ authorizedKeys: [publicKeyOf(folder, key)] });
  const program = join(project.program, "index.ts");
  const places: [string, string][] = [
    ["2222", String(sshd.port)],
    ["/tmp/remote-demo", join(folder, "remote-demo")],
  ];
  const [type, bytes] = (readText("remote", "host.pub") ?? "").split(" ");
  const hostKey = sshd.hostKey.split(" ").slice(0, 2).join(" ");
  try {
    let text = readFileSync(program, "utf8");
    for (const [recorded, ours] of places) text = text.replaceAll(recorded, ours);
    writeFileSync(program, text);
    let stack = readText("remote", "Pulumi.dev.yaml") ?? "";
    stack = stack.replace(`${type} ${bytes}`, hostKey).replace(/phase: "\d"/, 'phase: "1"');
    const stackFile = join(project.root, "stacks/Pulumi.dev.yaml");
    writeFileSync(stackFile, stack);
    const line = createCommandLine(project.root, "x");
    const phase = (number: number) => writeFileSync(stackFile, stack.replace('phase: "1"', `phase: "${number}"`));
    const printed: CommandResult[] = [];
    const run = async (args: string[], exit: number): Promise<CommandResult> => {
      const ran = await line.run([...args, "--stack", "dev", "--non-interactive"]);
      printed.push(ran);
      assert.equal(ran.exit, exit, ran.out + ran.err);
      return ran;
    };
    const check = (step: string) => {
      const file = join(line.backend, ".pulumi/stacks/remote/dev.json");
      const ours = parseCheckpoint(readFileSync(file, "utf8"), "x");
      const translate = (value: string) => {
        let result = value.replaceAll(hostKey, `${type} ${bytes}`).replaceAll(`"port":${sshd.port}`, '"port":2222');
        result = result.replaceAll(join(folder, "remote-demo"), "/tmp/remote-demo");
        return result;
      };
      assert.deepEqual(JSON.parse(translate(JSON.stringify(shown(ours)))), shown(readState("remote", step)), step);
    };
    const up = ["up", "--yes", "--skip-preview"];
    const made = await line.run(["stack", "init", "dev", "--non-interactive"]);
    assert.equal(made.exit, 0, made.out + made.err);
    await run(up, 0);
    check("02-up");
    await run(up, 0);
    check("03-up-same");
    phase(2);
    writeFileSync(join(project.root, "files/a.conf"), readText("remote", "files/a.conf") ?? "");
    writeFileSync(join(project.root, "files/dir/y.txt"), readText("remote", "files/dir/y.txt") ?? "");
    await run(up, 0);
    check("05-up-change");
    phase(3);
    const failed = await run(up, 1);
    assert.match(failed.out, /Process exited with status 7: running "echo out; echo err >&2; exit 7":\s+out\s+err/);
    check("06-up-fails");
    const logins = sshd.logins();
    phase(4);
    const refused = await run(up, 1);
    assert.match(refused.out, /after 2 failed attempts: ssh: handshake failed: ssh: host key mismatch/);
    assert.equal(sshd.logins(), logins);
    phase(3);
    await run(["refresh", "--yes", "--skip-preview"], 0);
    phase(2);
    await run(up, 0);
    await run(["destroy", "--yes", "--skip-preview"], 0);
    check("09-destroy");
    const all = printed.map(({ out, err }) => out + err).join("");
    for (const secret of ["planted-secret", key.split("\n")[2] ?? "no key"])
      assert.ok(!all.includes(secret), "a secret was shown");
  } finally {
    await sshd.stop();
    project.remove();
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Each resource without what is new in each run: ids, times, places in source files. Copies that wait for deletion too. */
function shown({ resources, pendingOperations }: ReadCheckpoint) {
  const seen = resources.map((state) => {
    const plain: Value = JSON.parse(JSON.stringify(state));
    assert.ok(isMap(plain));
    for (const name of ["created", "modified", "sourcePosition", "stackTrace", "id", "provider"]) delete plain[name];
    if (Array.isArray(plain.dependencies)) plain.dependencies.sort();
    return plain;
  });
  const order = (state: Value) => JSON.stringify(isMap(state) ? [state.urn ?? "", state.delete ?? false] : "");
  return { pendingOperations, resources: seen.sort((a, b) => (order(a) < order(b) ? -1 : 1)) };
}
