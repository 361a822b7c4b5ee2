/** A volume that comes and goes through the engine's docker provider: whether that reaches a daemon by this way. */
import assert from "node:assert/strict";
import { createDockerProvider } from "../../engine/providers/docker/provider.ts";
import { ProviderError } from "../../engine/providers/provider.ts";
import type { PropertyMap } from "../../engine/values.ts";

/** `args`: of the provider. Gives the volume's name, or why there is none. */
export async function volumeThrough(args: PropertyMap, programDirectory: string): Promise<string> {
  const provider = createDockerProvider({ programDirectory, log() {} });
  const signal = AbortSignal.timeout(60_000);
  const urn = "urn:pulumi:dev::p::docker:index/volume:Volume::x";
  try {
    await provider.configure({ args });
    const { id = "" } = await provider.create({ urn, properties: { name: "way" } }, signal);
    await provider.delete({ urn, id, properties: {} }, signal);
    return id;
  } catch (error) {
    assert.ok(error instanceof ProviderError, String(error));
    return error.message;
  } finally {
    await provider.close();
  }
}
