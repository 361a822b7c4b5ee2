/** The gateway's bundle and what is made of it: complete, the same from the same sources, and free of where it was made. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { findPackageJSON, SourceMap } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { nodeEnvironment, nodeFlags } from "../../gateway/process/supervisor-child.ts";
import { archiveOf, memberOf } from "../../infra/release/archive.ts";
import { bundleGateway, imageContext } from "../../infra/release/index.ts";
import { nodeBinary } from "../../infra/release/node-binary.ts";
import { lineMap } from "../../infra/release/source-maps.ts";

const root = join(import.meta.dirname, "../..");
const homes = [0, 1].map(() => mkdtempSync(join(tmpdir(), "openclaw-release-")));
const previousHome = process.env.OPENCLAW_STACK_HOME;
let bundle = "";
let again = "";

/** Every home keeps what was made in it: another one makes it anew. */
function within<T>(home: string | undefined, make: () => T): T {
  process.env.OPENCLAW_STACK_HOME = home;
  try {
    return make();
  } finally {
    if (previousHome === undefined) delete process.env.OPENCLAW_STACK_HOME;
    else process.env.OPENCLAW_STACK_HOME = previousHome;
  }
}

before(() => {
  bundle = within(homes[0], () => bundleGateway().directory);
  again = within(homes[1], () => bundleGateway().directory);
});
after(() => {
  for (const home of homes) rmSync(home, { recursive: true, force: true });
});

const filesOf = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(join(directory, name)).isFile())
    .sort();

test("the same sources give the same bytes", () => {
  assert.deepEqual(filesOf(again), filesOf(bundle));
  for (const name of filesOf(bundle)) {
    assert.ok(readFileSync(join(bundle, name)).equals(readFileSync(join(again, name))), `${name} differs`);
  }
  assert.ok(archiveOf(bundle, "x").equals(archiveOf(again, "x")));
});

test("a bundle that is there is taken", () => {
  const file = join(bundle, "gateway/main.js");
  const made = statSync(file).ino;
  assert.equal(
    within(homes[0], () => bundleGateway().directory),
    bundle,
  );
  assert.equal(statSync(file).ino, made);
});

test("nothing in it says where it was made, and it imports nothing but Node", () => {
  const names = filesOf(bundle);
  for (const name of ["main.js", "supervisor-main.js", "supervisor-control.js", "health.js"]) {
    assert.ok(names.includes(join("gateway", name)), name);
  }
  for (const name of names) {
    const text = readFileSync(join(bundle, name), "utf8");
    assert.ok(!text.includes(root), `${name} holds ${root}`);
    for (const home of homes) assert.ok(!text.includes(home), `${name} holds ${home}`);
    if (!name.endsWith(".js")) continue;
    for (const [, from = ""] of text.matchAll(/^(?:import|export)\b[^"'\n]*?["']([^"'\n]+)["'];?/gm)) {
      assert.match(from, /^(node:|\.\/)/, `${name} imports ${from}`);
    }
    assert.doesNotMatch(text, /import\.meta\.dirname,\s*"[\w-]+\.ts"/, `${name} starts a source file`);
  }
});

test("the licence of each bundled package is in it", () => {
  const text = readFileSync(join(bundle, "THIRD-PARTY-LICENSES.txt"), "utf8");
  for (const name of ["fastify", "zod", "@redis/client", "@opentelemetry/api", "json5", "yaml"]) {
    const { version }: { version: string } = JSON.parse(readFileSync(findPackageJSON(name, import.meta.url) ?? "", "utf8"));
    assert.ok(text.includes(`${name} ${version} (`), name);
  }
  assert.match(text, /Permission is hereby granted, free of charge/);
  assert.match(readFileSync(join(bundle, "LICENSE"), "utf8"), /Apache License/);
});

test("a place in the bundle is found in the source", () => {
  const file = "gateway/process/single.ts";
  const mark = "gateway_stopped";
  const name = filesOf(bundle).find((one) => one.endsWith(".js") && readFileSync(join(bundle, one), "utf8").includes(mark));
  assert.ok(name);
  const lines = readFileSync(join(bundle, name), "utf8").split("\n");
  const line = lines.findIndex((text) => text.includes(mark));
  const map = new SourceMap(JSON.parse(readFileSync(join(bundle, `${name}.map`), "utf8")));
  const entry = map.findEntry(line, lines[line]?.indexOf(mark) ?? 0);
  assert.ok("originalSource" in entry);
  assert.equal(entry.originalSource, `../${file}`);
  const source = readFileSync(join(root, file), "utf8").split("\n");
  assert.ok(source[entry.originalLine]?.includes(mark), `line ${entry.originalLine + 1}: ${source[entry.originalLine]}`);
});

test("a map keeps lines, leaves packages out, and is nothing where nothing is ours", () => {
  // Generated: `a` from ours.ts line 1, `b` from a package, `c` from ours.ts line 2, and on the next line `d` from there too.
  const map = JSON.stringify({
    version: 3,
    sources: ["../node_modules/p/p.js", "../gateway/ours.ts"],
    names: ["n"],
    mappings: "ACAA,CAACA,EDAA,ECCA;AAAA",
  });
  const ours = (source: string): string | undefined => (source.startsWith("../gateway/") ? source : undefined);
  const made: { sources: string[]; mappings: string } = JSON.parse(lineMap(map, ours) ?? "");
  assert.deepEqual(made.sources, ["../gateway/ours.ts"]);
  assert.equal(made.mappings, "AAAA,G,EACA;AAAA");
  assert.equal(
    lineMap(map, () => undefined),
    undefined,
  );
});

test("an archive holds the folder, whichever of its files came compressed", () => {
  const whole = archiveOf(bundle, "release-1");
  const content = readFileSync(join(bundle, "LICENSE"));
  const parts = archiveOf(bundle, "release-1", { LICENSE: memberOf(content) });
  assert.ok(!whole.equals(parts));
  assert.ok(gunzipSync(whole).equals(gunzipSync(parts)));
  assert.ok(gunzipSync(whole).includes("release-1/gateway/main.js\0"));
});

test("the image is started as the supervisor starts a gateway, and its hash follows what goes into it", () => {
  const dockerfile = readFileSync(join(root, "gateway/image/Dockerfile"), "utf8");
  const entry = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1] ?? "[]";
  assert.deepEqual(JSON.parse(entry), ["/opt/openclaw/bin/node", ...nodeFlags, "/opt/openclaw/gateway/main.js"]);
  for (const [name, value] of Object.entries(nodeEnvironment)) assert.ok(dockerfile.includes(` ${name}=${value}\n`), name);
  within(homes[0], () => {
    const plain = imageContext();
    assert.equal(imageContext().hash, plain.hash);
    assert.notEqual(imageContext({ baseImage: "debian:13-slim" }).hash, plain.hash);
    assert.deepEqual(readdirSync(plain.directory).sort(), [".dockerignore", "Dockerfile", "data", "release"]);
    assert.equal(statSync(join(plain.directory, "release/bin/node")).mode & 0o777, 0o755);
  });
});

test("a platform whose Node cannot be had is refused with what to do, and nothing is left of the attempt", () => {
  const other = process.arch === "arm64" ? "linux-x64" : "linux-arm64";
  const cache = join(homes[0] ?? "", "cache");
  const environment = {
    ...process.env,
    npm_execpath: undefined,
    npm_config_registry: "http://127.0.0.1:9/",
    npm_config_fetch_retries: "0",
    XDG_CACHE_HOME: cache,
  };
  assert.throws(
    () => nodeBinary(other, environment),
    /Node for the target's platform \(npm package node-linux-\w+@24.*\) cannot be had: [\s\S]*npm config set registry/,
  );
  assert.deepEqual(readdirSync(join(cache, "openclaw-stack")), []);
});
