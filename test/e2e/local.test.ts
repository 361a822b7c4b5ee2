/** The target `local` as a stranger meets it: a fresh clone, two commands, and clear answers where something is in the way. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { freePort } from "../support/free-port.ts";
import { type LocalClone, makeClone } from "../support/local-clone.ts";
import { processesOf } from "../support/remove-folder.ts";

const clones: LocalClone[] = [];
after(async () => {
  for (const clone of clones) await clone.remove();
});

function clone(name: string, modules: "link" | "none" = "link"): LocalClone {
  const made = makeClone(name, modules);
  clones.push(made);
  return made;
}

/** The commands that are printed for pasting: each ends with the line that is not continued. */
function printedCommands(text: string): string[] {
  return [...text.matchAll(/^ {2}(npm run -s token[^\n]*\\\n[^\n]*)$/gm)].map((match) => match[1] ?? "");
}

function urlIn(text: string): string {
  return /^Gateway\s+(http\S+)$/m.exec(text)?.[1] ?? assert.fail(`no URL in\n${text}`);
}

/** Takes the settings of the example, on a port that no other test uses. */
async function prepareStackFile(place: LocalClone, extra = ""): Promise<number> {
  const port = await freePort();
  const example = readFileSync(join(place.directory, "stacks/examples/local.yaml"), "utf8");
  writeFileSync(place.stackFile, example.replace("port: 18789", `port: ${port}`) + extra);
  return port;
}

/** What a PATH holds where no Node of ours and no Pulumi is on it; the case's Node comes first. */
const systemPath = (process.env.PATH ?? "")
  .split(":")
  .filter((entry) => !entry.includes("node_modules") && !existsSync(join(entry, "pulumi")))
  .join(":");
const nodes = { "the Node of this machine": systemPath, "the pinned Node 24": `${dirname(process.execPath)}:${systemPath}` };

for (const [name, path] of Object.entries(nodes)) {
  test(`fresh clone, empty home, no packages, on ${name}: up, the printed commands, up again, destroy`, async () => {
    await newcomer(path);
  });
}

async function newcomer(path: string): Promise<void> {
  const place = clone("fresh", "none");
  place.environment.PATH = path;
  const began = performance.now();
  const up = await place.npm(["run", "up"]);
  console.log(`from nothing to a running gateway: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  assert.equal(up.code, 0, up.text);
  assert.match(up.text, /^Engine: /m);
  const url = urlIn(up.text);
  const commands = printedCommands(up.text);
  assert.equal(commands.length, 2, up.text);
  const [whole, stream] = commands;
  const answer = await place.shell(whole ?? "");
  assert.equal(JSON.parse(answer.stdout).object, "chat.completion", answer.text);
  const pieces = await place.shell(stream ?? "");
  assert.ok(pieces.stdout.split("\n").filter((line) => line.startsWith("data: ")).length > 5, pieces.text);
  assert.match(pieces.stdout, /data: \[DONE\]/);
  assert.ok(!up.text.includes((await place.npm(["run", "-s", "token"])).stdout.trim()), "the token was shown");

  const again = await place.npm(["run", "up"]);
  assert.equal(again.code, 0, again.text);
  assert.match(again.text, /7 unchanged/);
  assert.doesNotMatch(again.text, /created|updated/);
  assert.equal(urlIn(again.text), url);

  const destroy = await place.npm(["run", "destroy"]);
  assert.equal(destroy.code, 0, destroy.text);
  assert.deepEqual(processesOf(place.base), []);
  const [folder = ""] = readdirSync(join(place.home, ".local/share/openclaw-stack"));
  assert.deepEqual(readdirSync(join(place.home, ".local/share/openclaw-stack", folder)).sort(), ["passphrase", "state"]);

  const gone = await place.npm(["run", "destroy", "--", "--remove"]);
  assert.equal(gone.code, 0, gone.text);
  assert.equal(existsSync(join(place.home, ".local/share/openclaw-stack")), false);
  assert.equal(existsSync(place.stackFile), false);
}

test("two clones do not touch each other: the second one gets a port of its own", async () => {
  const blocker = net.createServer();
  await new Promise<void>((resolve) => {
    blocker.once("error", () => resolve());
    blocker.listen(18789, "127.0.0.1", resolve);
  });
  const [one, two] = [clone("one"), clone("two")];
  // One home for both, as on a real machine.
  const shared = { environment: { HOME: one.home } };
  const first = await one.operate(["up"], shared);
  blocker.close();
  assert.equal(first.code, 0, first.text);
  assert.match(first.text, /port\s+18789 is taken/);
  const second = await two.operate(["up"], shared);
  assert.equal(second.code, 0, second.text);
  assert.notEqual(urlIn(first.text), urlIn(second.text));
  assert.match(readFileSync(one.stackFile, "utf8"), /port: \d+ # 18789 was taken/);
  const removed = await one.operate(["destroy"], shared);
  assert.equal(removed.code, 0, removed.text);
  const status = await two.operate(["status"], shared);
  assert.equal(status.code, 0, status.text);
  await two.operate(["destroy"], shared);
});

test("a model server that is here already is chosen once, with a comment", async () => {
  const place = clone("found");
  const server = http.createServer((_request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ object: "list", data: [{ id: "bge-embed" }, { id: "llama3.2:3b" }] }));
  });
  const usual = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(11434, "127.0.0.1", () => resolve(true));
  });
  try {
    // Reading the settings is enough to make the stack file.
    const made = await place.operate(["config"]);
    assert.equal(made.code, 0, made.text);
    const text = readFileSync(place.stackFile, "utf8");
    if (usual) {
      assert.match(text, /# Found on this machine on the first run \(Ollama\)/);
      assert.match(text, /default: ollama\/llama3\.2:3b/);
      assert.doesNotMatch(text, /bge-embed/);
      assert.doesNotMatch(text, /^ {2}openclaw-stack:demo/m);
    }
    const before = text;
    server.close();
    await place.operate(["config"]);
    assert.equal(readFileSync(place.stackFile, "utf8"), before);
  } finally {
    server.close();
  }
});

test("a taken port is told before anything is touched, with its holder and the line that mends it", async () => {
  const place = clone("port");
  const port = await prepareStackFile(place);
  const holder = net.createServer().listen(port, "127.0.0.1");
  await new Promise((resolve) => holder.once("listening", resolve));
  const refused = await place.operate(["up"]);
  holder.close();
  assert.equal(refused.code, 255);
  assert.match(refused.text, new RegExp(`port ${port} is taken by process ${process.pid}`));
  assert.match(refused.text, /npm run config -- set --path gateway\.port \d+/);
  assert.equal(existsSync(join(place.home, ".local")), false);
});

test("a folder that cannot be written, and a home that is not there", async () => {
  const place = clone("folder");
  await prepareStackFile(place);
  // /proc refuses root as well.
  const readOnly = await place.operate(["up"], { environment: { OPENCLAW_STACK_HOME: "/proc/nowhere" } });
  assert.equal(readOnly.code, 255);
  assert.match(readOnly.text, /cannot be written/);
  assert.match(readOnly.text, /OPENCLAW_STACK_HOME/);
  const relative = await place.operate(["up"], { environment: { OPENCLAW_STACK_HOME: "here" } });
  assert.match(relative.text, /OPENCLAW_STACK_HOME is "here": give an absolute path/);
  for (const { text } of [readOnly, relative]) assert.doesNotMatch(text, /\n\s+at /);
});

test("wrong settings: all of them at once, with path and fix, before any resource is touched", async () => {
  const place = clone("settings");
  await prepareStackFile(place, "\n  openclaw-stack:loging:\n    level: debug\n  openclaw-stack:workers: many\n");
  const refused = await place.operate(["up"]);
  assert.notEqual(refused.code, 0);
  assert.match(refused.text, /stacks\/Pulumi\.local\.yaml: 2 settings are wrong/);
  assert.match(refused.text, /openclaw-stack:loging: unknown setting; did you mean "logging"\?/);
  assert.match(refused.text, /openclaw-stack:workers: must be/);
  assert.doesNotMatch(refused.text, /\n\s+at .*\.ts/);
  assert.deepEqual(processesOf(place.base), []);
});
