/** The fields of docker's Network, Volume and RemoteImage. */
import { type Fields, flag, int, labelFields, list, map, needed, type ResourceFields, replaces, set, text } from "./fields.ts";

const made = { ...replaces, computed: true };

const ipam: Fields = { subnet: text(replaces), ipRange: text(replaces), gateway: text(replaces), auxAddress: map(replaces) };

export const networkFields: ResourceFields = {
  fields: {
    attachable: flag(replaces),
    driver: text(made),
    ingress: flag(replaces),
    internal: flag(made),
    ipamConfigs: set(ipam, { ...made, terraform: "ipam_config" }),
    ipamDriver: text({ ...replaces, default: "default" }),
    ipamOptions: map(replaces),
    ipv6: flag(replaces),
    labels: set(labelFields, replaces),
    name: text(needed),
    options: map(made),
    scope: text({ computed: true, readOnly: true }),
  },
  meta: { schemaVersion: "1" },
  autonamed: true,
  deleteBeforeReplace: false,
};

const cluster: Fields = {
  id: text({ computed: true, readOnly: true }),
  scope: text({ ...replaces, default: "single", pattern: /^(single|multi)$/ }),
  sharing: text({ ...replaces, default: "none", pattern: /^(none|readonly|onewriter|all)$/ }),
  type: text({ ...replaces, default: "block", pattern: /^(mount|block)$/ }),
  topologyPreferred: text(replaces),
  topologyRequired: text(replaces),
  requiredBytes: text(replaces),
  limitBytes: text(replaces),
  group: text(replaces),
  availability: text({ default: "active", pattern: /^(active|pause|drain)$/ }),
};

export const volumeFields: ResourceFields = {
  fields: {
    cluster: list(cluster, { one: true }),
    driver: text(made),
    driverOpts: map(replaces),
    labels: set(labelFields, replaces),
    mountpoint: text({ computed: true, readOnly: true }),
    name: text(made),
  },
  meta: { schemaVersion: "1" },
  autonamed: true,
  deleteBeforeReplace: false,
};

const build: Fields = {
  additionalContexts: list(undefined, replaces),
  authConfigs: list(
    {
      auth: text(),
      email: text(),
      hostName: text({ required: true }),
      identityToken: text(),
      password: text(),
      registryToken: text(),
      serverAddress: text(),
      userName: text(),
    },
    { terraform: "auth_config" },
  ),
  buildArgs: map(replaces),
  buildId: text(replaces),
  buildLogFile: text(replaces),
  builder: text(replaces),
  cacheFroms: list(undefined, { ...replaces, terraform: "cache_from" }),
  cacheTos: list(undefined, { ...replaces, terraform: "cache_to" }),
  cgroupParent: text(replaces),
  context: text(needed),
  cpuPeriod: int(replaces),
  cpuQuota: int(replaces),
  cpuSetCpus: text(replaces),
  cpuSetMems: text(replaces),
  cpuShares: int(replaces),
  dockerfile: text({ ...replaces, default: "Dockerfile" }),
  extraHosts: list(undefined, replaces),
  forceRemove: flag(replaces),
  isolation: text(replaces),
  label: map(),
  labels: map(replaces),
  memory: int(replaces),
  memorySwap: int(replaces),
  networkMode: text(replaces),
  noCache: flag(replaces),
  platform: text(replaces),
  provenance: text(replaces),
  pullParent: flag(replaces),
  remoteContext: text(replaces),
  remove: flag({ default: true }),
  sbom: text(replaces),
  secrets: list({ env: text(replaces), id: text(needed), src: text(replaces) }),
  securityOpts: list(undefined, { ...replaces, terraform: "security_opt" }),
  sessionId: text(replaces),
  shmSize: int(replaces),
  squash: flag(replaces),
  suppressOutput: flag(replaces),
  tags: list(undefined, { terraform: "tag" }),
  target: text(replaces),
  ulimits: list({ hard: int(needed), name: text(needed), soft: int(needed) }, { terraform: "ulimit" }),
  useLegacyBuilder: flag({ ...replaces, default: false }),
  version: text(replaces),
};

/** What only a builder of its own (buildx) can do; the engine's request for a build has no place for it. */
export const builderOnly = ["additionalContexts", "builder", "cacheTos", "provenance", "sbom", "secrets", "sessionId"] as const;

export const imageFields: ResourceFields = {
  fields: {
    build: set(build, { one: true, conflicts: "pullTriggers" }),
    forceRemove: flag(),
    imageId: text({ computed: true, readOnly: true }),
    keepLocally: flag(),
    name: text(needed),
    platform: text(replaces),
    pullTriggers: set(undefined, replaces),
    repoDigest: text({ computed: true, readOnly: true }),
    triggers: map(replaces),
  },
  meta: { timeouts: true },
  autonamed: false,
  deleteBeforeReplace: false,
};
