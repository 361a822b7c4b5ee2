/** What the renderers of a server's system files must know of the server, and what each of them returns. Pure data. */

export interface Machine {
  os: { id: "debian" | "ubuntu"; version: string };
  arch: "amd64" | "arm64";
  memoryBytes: number;
  cpus: number;
  /** The server has IPv6 and is to be reached over it. */
  ipv6: boolean;
  /** The user that `up` comes as; `root`, or one that is given exactly what it needs by sudo. */
  login: string;
  ssh: {
    /** Every port that its SSH server listens on, and the one that `up` came through: the firewall never closes them. */
    ports: number[];
  };
  /** The system user of the gateway. */
  user: string;
  paths: MachinePaths;
  gateway: GatewayFacts;
  proxy: ProxyFacts;
  firewall: { kind: "nftables" | "ufw" | "off"; allowedPorts: number[] };
  fail2ban: Fail2banFacts | undefined;
  sysctl: boolean;
  timeSync: boolean;
  unattendedUpgrades: boolean;
  swapBytes: number;
  redis: RedisFacts | undefined;
  vllm: VllmFacts | undefined;
  ollama: OllamaFacts | undefined;
}

export interface MachinePaths {
  /** Holds releases/<name>, and the links `current` and `next`. */
  opt: string;
  /** Holds openclaw.json and the folder `secrets`. */
  etc: string;
  /** The state directory: the gateway's own, nobody else's. */
  state: string;
}

export const usualPaths: MachinePaths = { opt: "/opt/openclaw", etc: "/etc/openclaw", state: "/var/lib/openclaw" };

export interface GatewayFacts {
  /** The address that the socket unit listens on for the gateway; the gateway's config must name the same port. */
  host: string;
  port: number;
  /** Starts the gateway, below a release's folder: a program that finds the rest by its own real path, not by the link to it. */
  command: string;
  workers: number;
  /** Names of the files in `<etc>/secrets` that the gateway is given; the config says `${CREDENTIALS_DIRECTORY}/<name>`. */
  secrets: string[];
  drain: { delayMs: number; timeoutMs: number };
  /** Limit of its memory; left out: a share of the server's. */
  memoryLimitBytes: number | undefined;
  /** Not secret. */
  environment: { [name: string]: string };
}

export interface ProxyFacts {
  kind: "nginx" | "caddy" | "none";
  /** Files and folders whose change makes the proxy read them again; a folder's files count. */
  watched: string[];
  /** Checks the proxy's files before a reload. */
  check: string;
  /** The certificate comes from an authority by certbot. */
  certbot: CertbotFacts | undefined;
  /** Its access log, best in /var/log/openclaw: kept within bounds. */
  accessLog: string | undefined;
  httpPort: number;
  httpsPort: number | undefined;
}

export interface CertbotFacts {
  /** A folder of its own: accounts, certificates, logs, and `webroot` for the answers of http-01. */
  home: string;
  /** The folder with the proxy's chain.pem and key.pem. */
  tls: string;
  /** The directory of the ACME server. */
  server: string;
  /** What is asked for and how: options of `certbot certonly`, none of them secret. */
  arguments: string[];
  environment: { [name: string]: string };
  /** The authority that the ACME server's own HTTPS is signed by. */
  caFile: string | undefined;
  /** A file of root's alone with certbot's options for an account at the authority. */
  accountFile: string | undefined;
  /** How often it is looked whether it is time to renew. */
  checkSeconds: number;
}

export interface Fail2banFacts {
  maxRetry: number;
  findTimeSeconds: number;
  banTimeSeconds: number;
  ignoreAddresses: string[];
  /** Whose log tells of 401s: the gateway's, in the journal, or nginx's where the gateway writes none. */
  source: "journal" | "proxy";
}

export interface RedisFacts {
  port: number;
  maxMemoryBytes: number;
  /** File in `<etc>/secrets` that holds the password alone; the gateway may be given the same one. */
  passwordFile: string;
}

export interface VllmFacts {
  binary: string;
  model: string;
  port: number;
  gpus: number;
  arguments: string[];
  /** Files in `<etc>/secrets` that hold one token each. */
  apiKeyFile: string | undefined;
  hfTokenFile: string | undefined;
}

export interface OllamaFacts {
  binary: string;
  port: number;
}

export interface SystemFile {
  path: string;
  /** Octal, as for chmod. */
  mode: string;
  /** user:group, as for chown. */
  owner: string;
  content: string;
  /** Shell, before the file is put in its place: `$FILE` is the file under its own name in a folder of its own. */
  validate?: string;
  /** Shell commands that put it in force, after all files are in place: each once, in the order of the files. */
  reload?: string[];
  /** Shell commands that take it out of force, before the file is removed. */
  remove?: string[];
}

/** A file of root's that everybody may read: it holds no secret. */
export function systemFile(
  path: string,
  lines: readonly (string | undefined | readonly string[])[],
  more: Partial<SystemFile> = {},
): SystemFile {
  const text = lines.flatMap((line) => line ?? []).join("\n");
  return { path, mode: "0644", owner: "root:root", content: `${text}\n`, ...more };
}

export const mebibyte = 1024 * 1024;

/** Where small programs of ours lie that services and operators run. */
export const helperFolder = ({ paths }: Machine): string => `${paths.opt}/bin`;
