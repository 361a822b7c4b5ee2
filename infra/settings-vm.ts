/** The section `vm` of a stack file: a server that is reached by SSH, and what is set up on it beside the gateway. */
import { z } from "zod";

/** `{ source: file, provider: stack, id: <name> }`: the stack's secret `secret-<name>`. */
const stackSecretSchema = z.strictObject({
  source: z.literal("file"),
  provider: z.literal("stack"),
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
});

const hostKeySchema = z.string().regex(/^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+={0,2}( .*)?$/, {
  message:
    'must be the line of a public key ("ssh-ed25519 AAAA…"): print it on the server with cat /etc/ssh/ssh_host_ed25519_key.pub',
});

const hostNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9:._-]+$/, { message: "must be a host name or an address, without a user, a port or a scheme" });

const userSchema = z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/, { message: "must be the name of a Linux user" });

const identitySchema = z
  .union([
    z.literal("agent"),
    stackSecretSchema,
    z.strictObject({ file: z.string().min(1).describe("path here, ~ is your home") }),
  ])
  .describe(
    "the private key: agent (what ssh-agent holds), { file: ~/.ssh/id_ed25519 }, or a reference to a secret of the stack",
  );

const loginShape = {
  host: hostNameSchema.describe("name or address"),
  port: z.int().min(1).max(65535).default(22).describe("of its SSH server"),
  user: userSchema.default("root").describe("root, or a user that may use sudo without a password"),
  hostKey: hostKeySchema.describe(
    "the line of the server's public key; without it anybody could answer in its place and be given your secrets",
  ),
  identity: identitySchema.default("agent"),
};

/** Seconds and bytes have their unit in the name. */
export const vmSettings = z.strictObject({
  mode: z
    .enum(["ssh", "cloud-init"])
    .default("ssh")
    .describe("cloud-init: the first `up` without a host only renders user data (without a secret); the next one comes by SSH"),
  host: hostNameSchema
    .optional()
    .describe("the server's name or address; left out in mode cloud-init until the machine exists"),
  port: loginShape.port,
  user: loginShape.user,
  hostKey: hostKeySchema.optional().describe("the line of the server's public key: needed with host"),
  identity: loginShape.identity,
  bastion: z.strictObject(loginShape).optional().describe("a host that leads there"),
  authorizedKeys: z.array(hostKeySchema).default([]).describe("public keys of operators, for the user data of mode cloud-init"),
  expected: z
    .strictObject({
      os: z.enum(["debian 12", "debian 13", "ubuntu 22.04", "ubuntu 24.04"]).default("debian 12"),
      arch: z.enum(["amd64", "arm64"]).default("amd64"),
      cpus: z.int().min(1).default(2),
      memoryMb: z.int().min(2048).default(4096),
    })
    .prefault({})
    .describe("mode cloud-init: the server that is to be; the next `up` goes by what it finds"),
  connectTimeoutSeconds: z.int().min(1).max(600).default(15).describe("for one attempt to connect"),
  firewall: z
    .enum(["nftables", "ufw", "off"])
    .default("nftables")
    .describe("lets in SSH, 80 and 443 only; rules of others stay"),
  allowedPorts: z
    .array(z.int().min(1).max(65535))
    .default([])
    .describe("further TCP ports that the firewall lets in, beside SSH, 80 and 443"),
  fail2ban: z
    .strictObject({
      enabled: z.boolean().default(true),
      maxRetry: z.int().min(1).default(10).describe("failures from one address"),
      findTimeSeconds: z.int().min(1).default(600),
      banTimeSeconds: z.int().min(1).default(3600),
      ignoreAddresses: z.array(z.string()).default([]).describe("never banned, beside this machine's own"),
    })
    .prefault({})
    .describe("bans addresses that fail at SSH, or are refused with 401 by the gateway"),
  unattendedUpgrades: z.boolean().default(true).describe("security upgrades of the system by themselves"),
  timeSync: z.boolean().default(true).describe("systemd-timesyncd, where no other time service runs"),
  sysctl: z.boolean().default(true).describe("kernel settings for many connections"),
  swapMb: z.int().min(0).default(0).describe("a swap file of this size; 0: none"),
  keepReleases: z.int().min(2).max(20).default(3).describe("releases that stay on the server, for a rollback"),
  memoryMb: z.int().min(256).optional().describe("limit of the gateway; left out: a share of the server's memory"),
  redis: z.boolean().default(false).describe("a Redis of the server's own, on loopback"),
  ollama: z
    .strictObject({ enabled: z.boolean().default(false), binary: z.string().default("/usr/local/bin/ollama") })
    .prefault({})
    .describe("a unit for an Ollama that is installed on the server"),
  vllm: z
    .strictObject({
      enabled: z.boolean().default(false),
      model: z.string().min(1).optional().describe("the model that it serves: needed when enabled"),
      binary: z.string().default("/opt/vllm/bin/vllm"),
      port: z.int().min(1).max(65535).default(8000),
      gpus: z.int().min(1).default(1).describe("tensor-parallel-size"),
      arguments: z.array(z.string()).default([]).describe("further arguments; never a secret"),
    })
    .prefault({})
    .describe("a unit for a vLLM that is installed on the server"),
});

export type VmSettings = z.output<typeof vmSettings>;
