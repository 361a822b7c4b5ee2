// What systemd is told: by its own program, with the state as its argument.
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createLog } from "../../../gateway/observability/log.ts";
import { tellServiceManager } from "../../../gateway/process/service-manager.ts";

const folder = mkdtempSync(join(tmpdir(), "openclaw-notify-"));
const told = join(folder, "told");
writeFileSync(join(folder, "systemd-notify"), `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> ${told}\n`);
chmodSync(join(folder, "systemd-notify"), 0o755);
test.after(() => rmSync(folder, { recursive: true, force: true }));

const lines = (): string[] => {
  try {
    return readFileSync(told, "utf8").split("\n").slice(0, -1);
  } catch {
    return [];
  }
};

async function until(what: string, is: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!is()) {
    assert.ok(performance.now() < deadline, `waited in vain for ${what}: ${lines()}`);
    await pause(10);
  }
}

test("ready, alive twice in the time of the watchdog, stopping", async () => {
  const PATH = `${folder}:${process.env.PATH}`;
  const log = createLog(() => assert.fail("nothing to say"));
  const manager = tellServiceManager({ PATH, NOTIFY_SOCKET: "/run/notify", WATCHDOG_USEC: "200000" }, log);
  manager.ready();
  await until("the watchdog", () => lines().filter((line) => line === "/run/notify WATCHDOG=1").length >= 2);
  assert.ok(lines().includes("/run/notify READY=1"));
  manager.stopping();
  await until("the end", () => lines().includes("/run/notify STOPPING=1"));
});

test("a program that is missing is told of once", async () => {
  const said: string[] = [];
  const manager = tellServiceManager(
    { PATH: folder.concat("/none"), NOTIFY_SOCKET: "/run/notify" },
    createLog((line) => said.push(line)),
  );
  manager.ready();
  manager.stopping();
  await until("the log", () => said.length > 0);
  await pause(100);
  assert.equal(said.length, 1);
  assert.match(said[0] ?? "", /service_manager_unreachable.*READY=1/);
});

test("nothing where nobody listens", () => {
  const manager = tellServiceManager(
    { PATH: folder },
    createLog(() => assert.fail("nothing to say")),
  );
  const before = lines().length;
  manager.ready();
  manager.stopping();
  assert.equal(lines().length, before);
});
