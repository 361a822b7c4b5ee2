/** All that a stack is on a Docker host, without what differs each time it is made: ids, times, addresses, places of files. */
import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import type { TestDocker } from "./docker.ts";

const inspected = z.looseObject({
  Id: z.string(),
  Name: z.string(),
  Config: z.looseObject({ Image: z.string(), Hostname: z.string(), Labels: z.record(z.string(), z.string()) }),
  HostConfig: z.looseObject({}),
  Mounts: z.array(z.looseObject({ Destination: z.string(), Name: z.string().optional(), RW: z.boolean() })),
  State: z.looseObject({ Status: z.string(), Health: z.looseObject({ Status: z.string() }).optional() }),
  NetworkSettings: z.looseObject({
    Networks: z.record(z.string(), z.looseObject({ Aliases: z.array(z.string()).nullish() })),
    Ports: z.unknown(),
  }),
});
const named = z.looseObject({ Name: z.string(), Labels: z.record(z.string(), z.string()).nullish(), Driver: z.string() });

/** Line by line, so that a difference shows. `secret`: volumes whose contents are made by chance, or by the services. */
export async function dockerTree(docker: TestDocker, secret: RegExp): Promise<string[]> {
  const signal = AbortSignal.timeout(120_000);
  const get = (path: string) => docker.daemon.bytes({ method: "GET", path }, signal).then((bytes) => JSON.parse(String(bytes)));
  const lines: string[] = [];

  /** All containers, once none is still being tried for the first time. */
  async function settled(): Promise<z.infer<typeof inspected>[]> {
    for (;;) {
      const list = z.array(z.object({ Id: z.string() })).parse(await get("/containers/json?all=true"));
      const containers = await Promise.all(list.map(async ({ Id }) => inspected.parse(await get(`/containers/${Id}/json`))));
      if (containers.every(({ State }) => State.Health?.Status !== "starting")) return containers;
      await pause(100, undefined, { signal });
    }
  }

  for (const { Id, Name, Config, HostConfig, Mounts, State, NetworkSettings } of await settled()) {
    const networks = Object.entries(NetworkSettings.Networks)
      .map(([network, { Aliases }]) => [network, (Aliases ?? []).filter((alias) => !Id.startsWith(alias)).sort()])
      .sort();
    const mounts = Mounts.map(({ Destination, Name: volume, RW }) => [Destination, volume, RW]).sort();
    const shown = { Config, HostConfig, mounts, networks, status: State.Status, health: State.Health?.Status };
    lines.push(
      ...JSON.stringify(sorted(shown), null, 1)
        .split("\n")
        .map((line) => `container ${Name}: ${line.trim()}`),
    );
  }
  for (const network of z.array(named).parse(await get("/networks"))) {
    const { Name, Labels, Driver, Internal } = network;
    lines.push(`network ${Name} ${Driver} ${String(Internal)} ${JSON.stringify(sorted(Labels ?? {}))}`);
  }
  const { Volumes } = z.object({ Volumes: z.array(named.extend({ Mountpoint: z.string() })) }).parse(await get("/volumes"));
  for (const { Name, Labels, Driver, Mountpoint } of Volumes) {
    lines.push(`volume ${Name} ${Driver} ${JSON.stringify(sorted(Labels ?? {}))}`);
    lines.push(...filesIn(Mountpoint, !secret.test(Name)).map((line) => `volume ${Name}: ${line}`));
  }
  const images = z.array(z.looseObject({ RepoTags: z.array(z.string()).nullish() })).parse(await get("/images/json"));
  lines.push(
    ...images.flatMap(({ RepoTags }) => (RepoTags ?? []).filter((tag) => tag !== "<none>:<none>")).map((tag) => `image ${tag}`),
  );
  return lines.sort();
}

/** Names, modes, owners; with their sums where their contents are to be the same. What the services work with comes and goes. */
function filesIn(folder: string, sums: boolean, below = ""): string[] {
  return readdirSync(join(folder, below)).flatMap((name) => {
    const path = join(below, name);
    const status = lstatSync(join(folder, path), { throwIfNoEntry: false });
    if (!status) return [];
    const line = `${path} ${status.mode.toString(8)} ${status.uid}:${status.gid}`;
    if (status.isDirectory()) return [line, ...filesIn(folder, sums, path)];
    const sum =
      sums && status.isFile()
        ? createHash("sha256")
            .update(readFileSync(join(folder, path)))
            .digest("hex")
        : "";
    return [`${line} ${sum}`.trim()];
  });
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
