/** Settings of the target `docker`: the host, its containers and what they may use. */
import { z } from "zod";

const namePattern = /^[a-z0-9][a-z0-9_-]{0,40}$/;
const sizeSchema = z.string().regex(/^[1-9]\d*[mg]$/, "expected megabytes or gigabytes, such as 512m or 2g");

/** The stack's secret of that name: `secret-<id>`. */
const stackSecretSchema = z.strictObject({
  source: z.literal("file"),
  provider: z.literal("stack"),
  id: z.string().min(1).describe("its value is the secret secret-<id>"),
});

const imageName = z
  .string()
  .regex(/^[a-z0-9][\w.:/-]*$/, "expected an image's name, such as nginx:1.28")
  .describe("name and tag; a registry other than Docker Hub comes first, as in registry.example.com/team/nginx:1");
const imageDigest = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, "expected sha256: and 64 hexadecimal digits")
  .optional()
  .describe("only this very image is taken, whatever the tag points to");
const imageSchema = (name: string) => z.strictObject({ name: imageName.default(name), digest: imageDigest }).prefault({});

const limitsSchema = (memory: string, cpus: number, pids: number) =>
  z
    .strictObject({
      memory: sizeSchema.default(memory).describe("it is ended when it needs more"),
      cpus: z.number().positive().max(1024).default(cpus).describe("processors, as in 1.5"),
      pids: z.int().min(16).max(1_000_000).default(pids).describe("processes and threads"),
      files: z
        .int()
        .min(1024)
        .max(1_048_576)
        .default(65_536)
        .describe("open files and connections; the daemon's own limit is the most that it can give"),
    })
    .prefault({});

const modelServerLimits = z
  .strictObject({
    memory: sizeSchema.optional().describe("left out: what the host has"),
    cpus: z.number().positive().max(1024).optional().describe("left out: all processors"),
  })
  .prefault({});

const vllmSchema = z.strictObject({
  image: imageSchema("vllm/vllm-openai:v0.30.0").describe("its image"),
  model: z.string().min(1).describe("the model, as Hugging Face names it"),
  servedModelName: z.string().min(1).optional().describe("the name that requests use; left out: the model's own"),
  gpus: z
    .union([z.literal("all"), z.int().min(1).max(64), z.array(z.string().min(1)).min(1)])
    .default("all")
    .describe("all, how many, or the ids of the devices"),
  tensorParallelSize: z.int().min(1).max(64).default(1).describe("processors of graphics that share the model"),
  maxModelLen: z.int().min(1).optional().describe("the longest context"),
  gpuMemoryUtilization: z.number().gt(0).max(1).default(0.9).describe("the share of their memory that is used"),
  maxNumSeqs: z.int().min(1).default(64).describe("requests that are computed at the same time"),
  shmSize: sizeSchema.default("16g").describe("memory that its processes share"),
  startPeriodSeconds: z.int().min(1).default(1800).describe("loading the model may take this long"),
  huggingFaceToken: stackSecretSchema.optional().describe("for models that need one"),
  extraArgs: z.array(z.string().min(1)).default([]).describe("more arguments of vllm serve"),
  limits: modelServerLimits.describe("what it may use"),
});

const ollamaSchema = z.strictObject({
  image: imageSchema("ollama/ollama:0.12.6").describe("its image"),
  models: z.array(z.string().min(1)).default([]).describe("models that it is to have, as ollama names them"),
  gpus: z
    .union([z.literal("all"), z.int().min(1).max(64), z.array(z.string().min(1)).min(1)])
    .optional()
    .describe("left out: it computes on processors"),
  limits: modelServerLimits.describe("what it may use"),
});

export const dockerSettings = z.strictObject({
  host: z
    .string()
    .regex(
      /^(unix:\/\/\/\S+|tcp:\/\/[^\s/]+|ssh:\/\/[^\s/]+(\/\S*)?)$/,
      "expected unix:///path, tcp://name:2376 or ssh://user@name",
    )
    .default("unix:///var/run/docker.sock")
    .describe("the Docker daemon; with ssh:// the system's ssh and a key or an agent are used"),
  hostKey: z
    .string()
    .regex(/^(ssh-|ecdsa-|sk-)\S+ [A-Za-z0-9+/]+=*$/, "expected a key's type and the key itself, as ssh-keyscan prints them")
    .optional()
    .describe("ssh://: the host's public key; a host that shows another one is not talked to"),
  sshKeyFile: z.string().min(1).optional().describe("ssh://: the private key on this machine; left out: ssh's own choice"),
  certificates: z
    .string()
    .min(1)
    .optional()
    .describe("tcp://: the folder on this machine with ca.pem, cert.pem and key.pem; without it tcp:// is refused"),
  platform: z
    .enum(["linux/amd64", "linux/arm64"])
    .default("linux/amd64")
    .describe("the host's kind of processor; the gateway's image is made for it"),
  project: z
    .string()
    .regex(namePattern, "expected lower-case letters, digits, _ and -")
    .default("openclaw")
    .describe("names of containers, networks and volumes begin with it; one for each stack on a host"),
  gateways: z.int().min(1).max(32).default(1).describe("gateways; more than one share limits and budgets through Redis"),
  addresses: z
    .array(z.string().min(1))
    .min(1)
    .default(["0.0.0.0"])
    .describe(
      'addresses of the host on which proxy.ports are open; add "::" for IPv6, whose clients all have one address then',
    ),
  image: z
    .strictObject({ name: imageName, digest: imageDigest })
    .optional()
    .describe("the gateway's image from a registry; left out: it is built on the host from gateway/image"),
  images: z
    .strictObject({
      nginx: imageSchema("nginx:1.28"),
      certbot: imageSchema("certbot/certbot:v5.1.0"),
      redis: imageSchema("redis:7.4"),
      haproxy: imageSchema("haproxy:3.0"),
      base: imageSchema("debian:12-slim").describe("what the gateway's image is built on"),
    })
    .prefault({})
    .describe("images of the other containers"),
  mirror: z
    .string()
    .regex(/^[a-z0-9][\w.:/-]*$/, "expected a registry and perhaps a path, such as mirror.example.com/docker")
    .optional()
    .describe("comes before the names of images of Docker Hub"),
  registries: z
    .array(
      z.strictObject({
        address: z.string().min(1).describe("the registry, as in the names of its images"),
        username: z.string().min(1).describe("who pulls"),
        password: stackSecretSchema.describe("a secret of the stack"),
      }),
    )
    .default([])
    .describe("logins for private registries; they are used from here and are not stored on the host"),
  limits: z
    .strictObject({
      gateway: limitsSchema("2g", 2, 512),
      nginx: limitsSchema("256m", 1, 128),
      certbot: limitsSchema("256m", 1, 64),
      redis: limitsSchema("512m", 1, 64),
      haproxy: limitsSchema("256m", 1, 64),
    })
    .prefault({})
    .describe("what each container may use"),
  balancer: z
    .enum(["nginx", "haproxy"])
    .default("nginx")
    .describe("who spreads requests over the gateways: nginx itself, or an HAProxy behind it"),
  redis: z
    .strictObject({
      enabled: z.boolean().optional().describe("left out: with more than one gateway"),
      maxMemory: sizeSchema.default("256m").describe("what it keeps at most"),
    })
    .prefault({})
    .describe("a Redis on this host; cluster.redisUrl names another one"),
  vllm: vllmSchema.optional().describe("a model server on this host's graphics processors; it is the provider vllm"),
  ollama: ollamaSchema.optional().describe("a model server on this host; it is the provider ollama"),
  volumes: z
    .strictObject({
      keep: z.boolean().default(true).describe("`destroy` leaves data, certificates and models"),
      adopt: z.boolean().default(false).describe("files of another user in an existing data volume become the gateway's"),
    })
    .prefault({})
    .describe("named volumes"),
  logs: z
    .strictObject({
      maxSize: sizeSchema.default("50m").describe("a container's log is rotated at this size"),
      maxFiles: z.int().min(1).max(100).default(5).describe("rotated files that are kept"),
    })
    .prefault({})
    .describe("json-file logs of each container"),
  directory: z
    .string()
    .regex(/^\/[\w./-]+$/, "expected an absolute path")
    .optional()
    .describe("where compose.yaml is put on the host, for operators; left out: /opt/<project>"),
  tools: z.boolean().default(true).describe("openclaw-cli in compose.yaml, for `docker compose --profile tools run`"),
});

export type DockerSettings = z.output<typeof dockerSettings>;
export type ImageSetting = DockerSettings["images"]["nginx"];

/** `2g` in the megabytes that Docker's provider counts in. */
export function megabytes(size: string): number {
  return Number(size.slice(0, -1)) * (size.endsWith("g") ? 1024 : 1);
}
