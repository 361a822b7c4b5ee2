/** The doctor's look at the ports: who has them, and how to choose others. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { port } from "../../infra/doctor/port.ts";

test("the gateway's port and that of its metrics: each is looked at, and the fix names its setting", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "doctor-"));
  const holders = [net.createServer(), net.createServer()];
  t.after(() => {
    for (const holder of holders) holder.close();
    rmSync(directory, { recursive: true });
  });
  const ports = await Promise.all(
    holders.map(async (holder) => {
      await once(holder.listen(0, "127.0.0.1"), "listening");
      const address = holder.address();
      return typeof address === "object" && address ? address.port : 0;
    }),
  );
  const stackFile = join(directory, "Pulumi.local.yaml");
  writeFileSync(
    stackFile,
    `config:\n  openclaw-stack:gateway:\n    port: ${ports[0]}\n  openclaw-stack:metrics:\n    port: ${ports[1]}\n`,
  );
  const subject = { clone: directory, directory, stackFile, secret: async () => undefined };
  const found = await port.run(subject);
  assert.deepEqual(
    found.map(({ level }) => level),
    ["error", "error"],
  );
  for (const [index, setting] of ["gateway.port", "metrics.port"].entries()) {
    assert.match(found[index]?.message ?? "", new RegExp(`^port ${ports[index]} is taken`));
    assert.match(found[index]?.message ?? "", new RegExp(`set --path ${setting} \\d+$`));
  }
  // A living supervisor of this stack whose process has the ports: they are its own.
  const run = join(directory, "run");
  mkdirSync(run);
  writeFileSync(join(run, "supervisor.lock"), JSON.stringify({ pid: process.pid }));
  writeFileSync(join(run, "process.json"), JSON.stringify({ host: "127.0.0.1", port: ports[0] }));
  if (process.platform === "linux") assert.deepEqual(await port.run(subject), []);
});
