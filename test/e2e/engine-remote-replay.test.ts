/**
 * The recordings of remote commands against a real sshd. Beside each player of the recorded answers works our provider: it gets
 * the same calls, and must answer what was recorded, on a host that then looks as the recorded one did.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createGuardian } from "../../engine/guardian.ts";
import { createCommandProvider } from "../../engine/providers/command/provider.ts";
import { isMap, type PropertyMap } from "../../engine/values.ts";
import { replayBeside } from "../support/replay-beside.ts";
import { readText } from "../support/replay-recording.ts";
import { privateKey } from "../support/replay-run.ts";
import { replaySteps } from "../support/replay-steps.ts";
import { publicKeyOf, type Sshd, startSshd, whyNoSshd } from "../support/sshd.ts";

const steps = replaySteps.filter((step) => step.recording === "remote");

/** What differs from the recorded host; each is the same text wherever it stands, there and back. */
interface Translation {
  ours(recorded: unknown): PropertyMap;
  recorded(ours: unknown): PropertyMap;
}

describe("recordings of remote commands, on a real host", { skip: whyNoSshd(), concurrency: false }, () => {
  const folder = mkdtempSync(join(tmpdir(), "remote-replay-"));
  const guardian = createGuardian();
  let sshd: Sshd;
  let translation: Translation;

  before(async () => {
    sshd = await startSshd({ authorizedKeys: [publicKeyOf(folder, privateKey())] });
    const [type, bytes] = (readText("remote", "host.pub") ?? "").split(" ");
    const [ourType, ourBytes] = sshd.hostKey.split(" ");
    translation = translate([
      [`${type} ${bytes}`, `${ourType} ${ourBytes}`],
      ['"port":2222', `"port":${sshd.port}`],
      ["/tmp/remote-demo", join(folder, "remote-demo")],
    ]);
  });
  after(async () => {
    guardian.close();
    await sshd.stop();
    rmSync(folder, { recursive: true });
  });

  const on = (name: string) => join(folder, `remote-demo${name}`);
  const read = (name: string) => (existsSync(on(name)) ? readFileSync(on(name), "utf8") : undefined);
  const host = () => [".conf", ".txt", ".secret", "-dir/dir/x.txt", "-dir/dir/y.txt"].map(read);
  const [x, y] = ["x.txt", "y.txt"].map((name) => readText("remote", `files/dir/${name}`));
  const changed = readText("remote", "files/a.conf");
  /** What lies on the host after a step. */
  const wanted: { [step: string]: (string | undefined)[] } = {
    "01-preview": [undefined, undefined, undefined, undefined, undefined],
    "02-up": ["v1\n", "phase 1\n", "planted-secret", x, undefined],
    // The replaced command's delete runs after the new one's create.
    "05-up-change": [changed, "phase 2\n", undefined, x, y],
    "06-up-fails": [changed, "phase 3\n", "planted-secret", x, y],
    "09-destroy": [changed, "phase 3\n", undefined, x, y],
  };
  let last: (string | undefined)[] = [];

  for (const step of steps) {
    test(step.step, { timeout: 60_000 }, async () => {
      const logins = sshd.logins();
      const { wrong, logs } = await replayBeside(step, {
        pkg: "command",
        create: (program, log) => createCommandProvider({ programDirectory: program, guardian, log }),
        ours: (_method, request) => translation.ours(request),
        compare: compare(translation),
      });
      assert.deepEqual(wrong, []);
      last = wanted[step.step] ?? last;
      assert.deepEqual(host(), last, "files on the host");
      const told = logs.filter((entry) => !entry.ephemeral).map(({ severity, message }) => ({ severity, message }));
      // Two copies of the command are deleted in the last step; each says it.
      const once = [...new Map(told.map((entry) => [entry.message, entry])).values()];
      assert.deepEqual(
        once,
        (step.logs ?? []).map(({ severity, message }) => ({ severity, message })),
      );
      const retries = logs.filter((entry) => entry.message.includes("failed: retrying")).map(({ message }) => message);
      if (step.step === "07-up-wrong-host-key") {
        assert.deepEqual([...new Set(retries)], ["Dial 1/2 failed: retrying", "Dial 2/2 failed: retrying"]);
        assert.equal(sshd.logins(), logins, "nobody logs in where the host is another one");
      } else {
        assert.deepEqual(retries, []);
        assert.ok(sshd.logins() <= logins + 1, "all share one connection");
      }
    });
  }
});

/** Fails where the answers differ by more than chance. */
function compare(translation: Translation): (method: string, recorded: PropertyMap, own: PropertyMap) => void {
  return (method, wanted, own) => {
    const had = translation.recorded(own);
    // Ids end in eight random hexadecimal digits.
    const isId = (id: unknown) => typeof id === "string" && /[0-9a-f]{8}$/.test(id);
    if (method === "Create" && isId(wanted.id) && isId(had.id)) {
      had.id = String(wanted.id).slice(0, -8) === String(had.id).slice(0, -8) ? (wanted.id ?? null) : (had.id ?? null);
    }
    // The official provider lists changed keys in the order of a Go map.
    for (const answer of [wanted, had]) if (Array.isArray(answer.diffs)) answer.diffs.sort();
    assert.deepEqual(had, wanted);
  };
}

function translate(pairs: [string, string][]): Translation {
  const through = (value: unknown, from: 0 | 1, to: 0 | 1): PropertyMap => {
    let text = JSON.stringify(value);
    for (const pair of pairs) text = text.replaceAll(pair[from], pair[to]);
    const result = JSON.parse(text);
    assert.ok(isMap(result));
    return result;
  };
  return { ours: (value) => through(value, 0, 1), recorded: (value) => through(value, 1, 0) };
}
