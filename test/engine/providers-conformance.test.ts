/** The embedded providers keep the contract. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { createGuardian } from "../../engine/guardian.ts";
import { createCommandProvider } from "../../engine/providers/command/provider.ts";
import { createRandomProvider } from "../../engine/providers/random/provider.ts";
import { secret } from "../../engine/values.ts";
import { conformance, planted, plantedSecret } from "../support/provider-conformance.ts";

const folder = mkdtempSync(join(tmpdir(), "providers-conformance-"));
const guardian = createGuardian();
after(() => {
  guardian.close();
  rmSync(folder, { recursive: true });
});

conformance("command", () => createCommandProvider({ programDirectory: folder, guardian, log() {} }), [
  {
    type: "command:local:Command",
    inputs: { create: "echo made | tee made", delete: "rm made", environment: { NAME: "value" }, stdin: plantedSecret },
    changed: { create: "echo made | tee made", delete: "rm made", environment: { NAME: "other" }, stdin: plantedSecret },
    invalid: { create: 3, creat: planted },
    failing: {
      create: secret(`echo ${planted}; exit 3`),
      stdin: plantedSecret,
      environment: { TOKEN: plantedSecret },
    },
    importable: false,
    exists: () => existsSync(join(folder, "made")),
  },
]);

const string = { length: 8, special: false };
const keepers = { keepers: { a: "1" } };
conformance("random", createRandomProvider, [
  {
    type: "random:index/randomBytes:RandomBytes",
    inputs: { length: 4 },
    changed: { length: 5 },
    invalid: { length: 0 },
    importable: true,
  },
  {
    type: "random:index/randomId:RandomId",
    inputs: { byteLength: 4, prefix: "p-" },
    changed: { byteLength: 4, prefix: "q-" },
    invalid: {},
    importable: true,
  },
  {
    type: "random:index/randomInteger:RandomInteger",
    inputs: { min: 1, max: 6 },
    changed: { min: 1, max: 7 },
    invalid: { min: "x", max: 3 },
    failing: { min: 6, max: 1 },
    importable: true,
  },
  {
    type: "random:index/randomPassword:RandomPassword",
    inputs: string,
    changed: { length: 9 },
    invalid: { length: 3, minLower: 4 },
    failing: { length: 4, number: true, numeric: false, keepers: { a: planted } },
    importable: false,
  },
  {
    type: "random:index/randomPet:RandomPet",
    inputs: { length: 3 },
    changed: keepers,
    invalid: { length: planted },
    importable: true,
  },
  {
    type: "random:index/randomShuffle:RandomShuffle",
    inputs: { inputs: ["a", "b"], resultCount: 3 },
    changed: { inputs: ["a", "c"], resultCount: 3 },
    invalid: { inputs: planted },
    importable: true,
  },
  {
    type: "random:index/randomString:RandomString",
    inputs: string,
    changed: { ...string, ...keepers },
    invalid: { length: 0 },
    importable: false,
  },
  { type: "random:index/randomUuid:RandomUuid", inputs: keepers, changed: {}, invalid: { keepers: planted }, importable: true },
  { type: "random:index/randomUuid4:RandomUuid4", inputs: keepers, changed: {}, invalid: { keepers: [] }, importable: true },
  { type: "random:index/randomUuid7:RandomUuid7", inputs: keepers, changed: {}, invalid: { keepers: 4 }, importable: true },
]);
