/** The docker provider's types on a newer Docker than this machine's: what 20.10 takes, later ones take too. */
import assert from "node:assert/strict";
import { startDocker, whyNoDocker } from "../support/docker.ts";
import { dockerTypes } from "../support/docker-types-suite.ts";
import { newerDocker, whyNoNewerDebian } from "../support/newer-debian.ts";

dockerTypes("docker resources on a newer daemon", whyNoDocker() ?? whyNoNewerDebian(), async () => {
  const docker = await startDocker([], newerDocker());
  const version = Number((await docker.daemon.version(AbortSignal.timeout(30_000))).split(".")[1]);
  assert.ok(version > 41, `it speaks version 1.${version}`);
  return docker;
});
