/** What the operator's commands need is made once, also where several begin at the same moment. */
import assert from "node:assert/strict";
import { globSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runCommand } from "../support/outcome.ts";

const folder = mkdtempSync(join(tmpdir(), "workplace-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const source = join(import.meta.dirname, "../../infra/operate/workplace.ts");
/** Prints the passphrase that it will use. */
const script = (at: number): string => `
  const { findWorkplace, prepareWorkplace } = await import(${JSON.stringify(source)});
  const { readFileSync } = await import("node:fs");
  const workplace = findWorkplace([]);
  while (Date.now() < ${at});
  prepareWorkplace(workplace);
  process.stdout.write(readFileSync(workplace.environment.PULUMI_CONFIG_PASSPHRASE_FILE, "utf8"));`;

test("commands that begin together have one passphrase, whole", async () => {
  const at = Date.now() + 1500;
  const env = { PATH: process.env.PATH, HOME: folder, XDG_DATA_HOME: folder };
  const command = [process.execPath, "--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script(at)];
  const outcomes = await Promise.all([1, 2, 3, 4].map(() => runCommand(command, { env })));
  for (const { code, text } of outcomes) assert.equal(code, 0, text);
  assert.match(outcomes[0]?.stdout ?? "", /^[\w-]{43}\n$/);
  assert.equal(new Set(outcomes.map(({ stdout }) => stdout)).size, 1);
  const made = globSync("**/passphrase*", { cwd: folder });
  assert.equal(made.length, 1, made.join(", "));
  const file = join(folder, made[0] ?? "");
  assert.equal(readFileSync(file, "utf8"), outcomes[0]?.stdout);
  assert.equal(statSync(file).mode & 0o777, 0o600);
});
