/** Whether a proxy serves by files that were just written, told by its processes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Docker } from "../../../../infra/components/docker/client.ts";
import { awaitReload } from "../../../../infra/components/docker/reload.ts";

const serving = (pid: number): string[] => [String(pid), "1", "nginx: worker process"];
const leaving = (pid: number): string[] => [String(pid), "1", "nginx: worker process is shutting down"];

/** What is seen at each look, the last of it ever after; `looks` counts. */
function proxyWith(...seen: string[][][]): { docker: Docker; looks: () => number } {
  let looks = 0;
  const docker: Docker = {
    async json(_call, schema) {
      const rows = seen[Math.min(looks++, seen.length - 1)] ?? [];
      return schema.parse({ Titles: ["PID", "PPID", "COMMAND"], Processes: [["1", "0", "nginx: master process"], ...rows] });
    },
    bytes: () => assert.fail("nothing else is asked for"),
    close: () => {},
  };
  return { docker, looks: () => looks };
}

describe("a proxy that shall read its files again", () => {
  test("it does when none of the processes of before takes connections", async () => {
    const { docker, looks } = proxyWith([serving(7)], [serving(7)], [serving(7), serving(8)], [leaving(7), serving(8)]);
    await awaitReload(docker, { id: "proxy", workers: ["7"] });
    assert.equal(looks(), 4);
  });

  test("one that did so while the files were written may have read those of before: it does so again", async () => {
    const { docker, looks } = proxyWith([serving(8)], [serving(8)], [leaving(8), serving(9)]);
    await awaitReload(docker, { id: "proxy", workers: ["7"] });
    assert.equal(looks(), 3);
  });

  test("one that was in the middle of it: the same", async () => {
    const { docker, looks } = proxyWith([serving(7), serving(8)], [leaving(7), serving(8)], [leaving(8), serving(9)]);
    await awaitReload(docker, { id: "proxy", workers: ["7"] });
    assert.equal(looks(), 3);
  });
});
