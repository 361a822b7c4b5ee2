/**
 * What a newcomer does: a clone with no packages, an empty home and no Pulumi; `npm run up`, the printed curl lines, `up` again,
 * `destroy`. Once on the Node that is on the PATH (20 or newer), once on the pinned Node 24.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";

const root = join(import.meta.dirname, "../..");

/** The PATH of a newcomer: no Pulumi, no stray Node of ours, and the Node that the case is about in front. */
function pathWith(folder: string, node: string): string {
  const first = join(folder, "bin");
  mkdirSync(first);
  symlinkSync(node, join(first, "node"));
  const rest = (process.env.PATH ?? "")
    .split(":")
    .filter((entry) => !entry.includes("node_modules") && !existsSync(join(entry, "pulumi")));
  return [first, ...rest].join(":");
}

function systemNode(): string {
  for (const entry of (process.env.PATH ?? "").split(":")) {
    if (!entry.includes("node_modules") && existsSync(join(entry, "node"))) return join(entry, "node");
  }
  return process.execPath;
}

/** Processes that have the folder in their command line or as their working directory. */
function processesOf(folder: string): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      return line.includes(folder) || readlinkSync(`/proc/${pid}/cwd`).startsWith(folder) ? [`${pid} ${line}`] : [];
    } catch {
      return [];
    }
  });
}

/** The commands of the closing message: each is a `curl`, fed with the token, and goes on where a line ends in a backslash. */
function curlLines(text: string): string[] {
  return [...text.matchAll(/^\s*((?:npm run .*\| )?curl (?:.*\\\n)*.*)$/gm)].map((match) => match[1] ?? "");
}

const cases = [
  { name: "the Node of this machine", node: systemNode() },
  { name: "the pinned Node 24", node: process.execPath },
];

for (const { name, node } of cases) {
  describe(`a fresh clone on ${name}`, () => {
    const folder = mkdtempSync(join(tmpdir(), "newcomer-"));
    const clone = join(folder, "openclaw-stack");
    const env: NodeJS.ProcessEnv = {
      HOME: join(folder, "home"),
      PATH: pathWith(folder, node),
      // The packages' cache is the machine's: the test is about the product, not about the network.
      npm_config_cache: execFileSync("npm", ["config", "get", "cache"], { encoding: "utf8" }).trim(),
    };
    for (const key of [
      "NODE_EXTRA_CA_CERTS",
      "HTTPS_PROXY",
      "HTTP_PROXY",
      "NO_PROXY",
      "npm_config_registry",
      "SSL_CERT_FILE",
    ]) {
      if (process.env[key]) env[key] = process.env[key];
    }
    const npm = (...args: string[]): { code: number | null; text: string; out: string } => {
      const result = spawnSync("npm", ["run", ...args], { cwd: clone, env, encoding: "utf8", timeout: 300_000 });
      return { code: result.status, text: `${result.stdout}\n${result.stderr}`, out: result.stdout };
    };
    let first = "";

    before(() => {
      mkdirSync(clone);
      mkdirSync(join(folder, "home"));
      const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root });
      const present = files
        .toString()
        .split("\0")
        .filter((file) => file !== "" && existsSync(join(root, file)));
      const archive = execFileSync("tar", ["-c", "--null", "-T", "-"], {
        cwd: root,
        input: present.join("\0"),
        maxBuffer: 1 << 28,
      });
      execFileSync("tar", ["-x"], { cwd: clone, input: archive });
    });

    after(() => {
      if (existsSync(join(clone, "node_modules"))) npm("destroy");
      const left = processesOf(folder);
      rmSync(folder, { recursive: true, force: true });
      assert.deepEqual(left, []);
    });

    test("up ends with a running gateway", () => {
      const began = performance.now();
      const { code, text } = npm("up");
      assert.equal(code, 0, text);
      first = text;
      assert.match(text, /Packages installed in/);
      assert.match(text, /embedded engine/i);
      assert.match(text, /created/);
      console.log(`from nothing to a running gateway: ${((performance.now() - began) / 1000).toFixed(1)} s`);
    });

    test("the printed curl lines work when pasted, streaming and not", () => {
      const lines = curlLines(first);
      assert.ok(lines.length >= 2, `two curl lines were expected:\n${first}`);
      const answers = lines.map((line) => execFileSync("sh", ["-c", line], { cwd: clone, env, encoding: "utf8" }));
      const streamed = answers.filter((answer) => answer.includes("data: "));
      assert.ok(streamed.length >= 1, "no answer was streamed");
      for (const answer of streamed) assert.match(answer, /data: \[DONE\]\s*$/);
      const whole = answers.filter((answer) => !answer.includes("data: ") && answer.includes("choices"));
      assert.ok(whole.length >= 1, `no whole answer in ${JSON.stringify(answers)}`);
      const choices: unknown = JSON.parse(whole[0] ?? "").choices;
      assert.ok(Array.isArray(choices) && choices.length === 1);
    });

    test("the token is not on the screen", () => {
      const token = npm("--silent", "token").out.trim();
      assert.ok(token.length >= 20, `a token was expected, not ${JSON.stringify(token.slice(0, 3))}…`);
      assert.ok(!first.includes(token));
    });

    test("up again changes nothing", () => {
      const began = performance.now();
      const { code, text } = npm("up");
      assert.equal(code, 0, text);
      assert.match(text, /\n\s+\d+ unchanged/);
      assert.doesNotMatch(text, /\d+ (created|updated|replaced|deleted)/);
      console.log(`up without change: ${((performance.now() - began) / 1000).toFixed(1)} s`);
    });

    test("status tells that it runs, and destroy leaves nothing running", () => {
      const status = npm("status");
      assert.equal(status.code, 0, status.text);
      const destroyed = npm("destroy");
      assert.equal(destroyed.code, 0, destroyed.text);
      assert.deepEqual(processesOf(folder), []);
      const gone = npm("destroy", "--", "--remove");
      assert.equal(gone.code, 0, gone.text);
      assert.ok(!existsSync(join(dirname(clone), "home/.local/share/openclaw-stack")), "the clone's folder is left");
    });
  });
}
