/** Which provider the engine takes: one in a debugger, an installed plug-in of the right version, or a built-in one. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { findPlugin } from "../../engine/plugin-files.ts";
import { createProviderHost, embeddedPackages } from "../../engine/plugins.ts";
import { ProviderError } from "../../engine/providers/provider.ts";
import { serveProvider } from "../support/serve-provider.ts";

const folder = mkdtempSync(join(tmpdir(), "plugins-"));
after(() => rmSync(folder, { recursive: true }));

function place(home: string, name: string, version: string): string {
  const directory = join(home, "plugins", `resource-${name}-v${version}`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `pulumi-resource-${name}`), "", { mode: 0o755 });
  return directory;
}

test("the version asked for is taken, otherwise the newest release", () => {
  const home = join(folder, "versions");
  const env = { PULUMI_HOME: home };
  for (const version of ["1.2.0", "1.10.0", "1.10.1-alpha.1", "1.9.9"]) place(home, "cloud", version);
  place(home, "cloud-other", "9.0.0");
  const found = (version?: string) => findPlugin("cloud", version, env)?.version;
  assert.equal(found("1.2.0"), "1.2.0");
  assert.equal(found("v1.9.9"), "1.9.9");
  assert.equal(found("1.2.1"), undefined);
  assert.equal(found("1.10.1-alpha.1"), "1.10.1-alpha.1");
  assert.equal(found(), "1.10.0");
  assert.equal(findPlugin("other", undefined, env), undefined);
});

test("an installation that was interrupted does not count", () => {
  const home = join(folder, "partial");
  const directory = place(home, "cloud", "1.0.0");
  writeFileSync(`${directory}.partial`, "");
  mkdirSync(`${directory}.tmp123`);
  assert.equal(findPlugin("cloud", undefined, { PULUMI_HOME: home }), undefined);
});

test("a plug-in on the PATH goes first, unless that is switched off", () => {
  const home = join(folder, "ambient");
  const installed = place(home, "cloud", "1.0.0");
  const bin = place(join(folder, "elsewhere"), "cloud", "0.0.1");
  const env = { PULUMI_HOME: home, PATH: `/nowhere:${bin}` };
  assert.equal(findPlugin("cloud", "1.0.0", env)?.directory, bin);
  assert.equal(findPlugin("cloud", "1.0.0", { ...env, PULUMI_IGNORE_AMBIENT_PLUGINS: "true" })?.directory, installed);
});

test("without a plug-in the built-in providers are used", async (t) => {
  const host = createProviderHost({ programDirectory: folder, env: { PULUMI_HOME: join(folder, "empty"), PATH: "" } });
  t.after(() => host.close());
  for (const [pkg, version] of Object.entries(embeddedPackages)) {
    const provider = await host.load(pkg, "0.0.1", () => {});
    assert.equal((await provider.getPluginInfo()).version, version);
  }
  await assert.rejects(
    host.load("cloud", "3.1.4", () => {}),
    {
      name: "ProviderError",
      message:
        "The package cloud needs its plug-in, which is not installed; built in are command, docker, random. " +
        "Install it: pulumi plugin install resource cloud 3.1.4",
    },
  );
});

test("PULUMI_DEBUG_PROVIDERS makes the engine use a provider that runs already", async (t) => {
  const calls: string[] = [];
  const served = await serveProvider((method) => {
    calls.push(method);
    return method === "getPluginInfo" ? { version: "0.0.7" } : {};
  });
  t.after(() => served.close());
  const port = served.address.split(":")[1];
  const host = createProviderHost({ programDirectory: folder, env: { PULUMI_DEBUG_PROVIDERS: `aws:1,cloud:${port}` } });
  t.after(() => host.close());
  const provider = await host.load("cloud", "1.0.0", () => {});
  assert.deepEqual(await provider.getPluginInfo(), { version: "0.0.7" });
  assert.deepEqual(calls, ["attach", "getPluginInfo"]);
  const wrong = createProviderHost({ programDirectory: folder, env: { PULUMI_DEBUG_PROVIDERS: "cloud" } });
  t.after(() => wrong.close());
  await assert.rejects(
    wrong.load("cloud", "1.0.0", () => {}),
    (error) => error instanceof ProviderError && /cloud:12345/.test(error.message),
  );
});
