/** The state cannot be written any more in the midst of an update: a clear error, no lock left, and the next run goes on. */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createCommandLine } from "../support/command-line.ts";

const root = mkdtempSync(join(tmpdir(), "engine-state-lost-"));
const cli = createCommandLine(root, "x");
const pulumi = join(cli.backend, ".pulumi");
const stateFile = join(pulumi, "stacks/lost/dev.json");
const up = ["up", "--yes", "--skip-preview"];

/** The first command does what the test says: it makes the state unwritable, or takes the lock away. */
const program = `
import * as command from "@pulumi/command";
const first = new command.local.Command("first", { create: process.env.SPOIL ?? "true", delete: "true", triggers: [process.env.SPOIL ?? ""] });
new command.local.Command("second", { create: "true" }, { dependsOn: first });
`;

before(async () => {
  for (const folder of ["infra", "stacks"]) mkdirSync(join(root, folder));
  symlinkSync(join(import.meta.dirname, "../../node_modules"), join(root, "node_modules"));
  writeFileSync(join(root, "package.json"), '{"type":"module"}');
  writeFileSync(
    join(root, "Pulumi.yaml"),
    "name: lost\nmain: infra/index.ts\nstackConfigDir: stacks\nruntime:\n  name: nodejs\n  options:\n    typescript: false\n",
  );
  writeFileSync(join(root, "infra/index.ts"), program);
  assert.equal((await cli.run(["stack", "init", "dev"])).exit, 0);
});
after(() => rmSync(root, { recursive: true, force: true }));

function files(folder: string): string[] {
  return existsSync(join(pulumi, folder)) ? readdirSync(join(pulumi, folder)) : [];
}

const latestResult = (): string | undefined => {
  const name = files("history/lost/dev")
    .filter((file) => file.endsWith(".history.json"))
    .sort()
    .at(-1);
  return name && JSON.parse(readFileSync(join(pulumi, "history/lost/dev", name), "utf8")).result;
};

test("a state that cannot be written any more", { timeout: 60_000 }, async () => {
  // What is written beside the state file, before it takes its place, has a folder in its way.
  const obstacle = `${stateFile}.bak.tmp`;
  const { exit, out, err } = await cli.run(up, { env: { SPOIL: `mkdir ${obstacle}` } });
  assert.notEqual(exit, 0, out + err);
  assert.ok(err.includes(`error: could not write the state file '${stateFile}'`), err);
  assert.ok(err.includes(obstacle), err);
  assert.doesNotMatch(out + err, /\n {4}at /, "no stack trace");
  assert.doesNotMatch(out, /second creating/, "nothing new is begun");
  assert.deepEqual(files("locks/organization/lost/dev"), []);
  assert.equal(latestResult(), "failed");
  rmSync(obstacle, { recursive: true });
  const next = await cli.run(up);
  assert.equal(next.exit, 0, next.out + next.err);
  assert.match(next.out, /urn:pulumi:dev::lost::command:local:Command::first, interrupted while creating/);
  assert.equal(latestResult(), "succeeded");
});

test("a state file that has become a folder is named, with what to do", { timeout: 60_000 }, async () => {
  const { exit, err } = await cli.run(up, { env: { SPOIL: `rm -f ${stateFile} && mkdir ${stateFile}` } });
  assert.notEqual(exit, 0);
  assert.equal(err, `error: ${stateFile} is a folder where the state file should be; move it away\n`);
  assert.deepEqual(files("locks/organization/lost/dev"), []);
  rmSync(stateFile, { recursive: true });
  renameSync(`${stateFile}.bak`, stateFile);
});

test("a lock that somebody took away is no obstacle to the end", { timeout: 60_000 }, async () => {
  const locks = join(pulumi, "locks/organization/lost/dev");
  const { exit, out, err } = await cli.run(up, { env: { SPOIL: `rm -rf ${locks}` } });
  assert.equal(exit, 0, out + err);
  assert.deepEqual(files("locks/organization/lost/dev"), []);
  assert.equal(latestResult(), "succeeded");
});
