/** The proxy's certificate on the server: made there, brought from here, or fetched by certbot once the proxy answers on port 80. */
import { isIP } from "node:net";
import * as pulumi from "@pulumi/pulumi";
import type { TlsFiles } from "../../render/proxy/site.ts";
import type { SystemFile } from "../../render/system/machine.ts";
import type { ProxySettings } from "../../settings-proxy.ts";
import type { ServerFacts } from "./facts.ts";
import { agentCommand, type Host } from "./host.ts";
import { acmeFiles, tlsFolder } from "./machine.ts";
import { revisionOf } from "./revision.ts";
import { createFile } from "./server-files.ts";

export interface CertificateArgs {
  host: Host;
  facts: ServerFacts;
  proxy: ProxySettings;
  /** The server's name or address, for a certificate that names nothing else. */
  address: string;
  /** Values of the stack's secrets, by the setting's name. */
  secrets: { [key: string]: string };
}

/** Where the proxy finds them; undefined where it needs none, or has its own. */
export function tlsFilesOf({ server, tls }: ProxySettings): TlsFiles | undefined {
  if (tls.mode === "none" || (tls.mode === "acme" && server === "caddy")) return undefined;
  const own = { certificate: `${tlsFolder}/chain.pem`, key: `${tlsFolder}/key.pem` };
  if (tls.mode !== "files" || !tls.files) return own;
  const { certificate, key } = tls.files;
  return {
    certificate: typeof certificate === "object" && "path" in certificate ? certificate.path : own.certificate,
    key: "path" in key ? key.path : own.key,
  };
}

/** Before the proxy: it does not start without the files that it names. */
export class Certificate extends pulumi.ComponentResource {
  readonly there: pulumi.Resource[];

  constructor(name: string, args: CertificateArgs, options: pulumi.ComponentResourceOptions) {
    super("openclaw:vm:Certificate", name, {}, options);
    this.there = create(args, this);
    this.registerOutputs({});
  }
}

function create({ host, facts, proxy, address, secrets }: CertificateArgs, parent: pulumi.Resource): pulumi.Resource[] {
  const { tls, server, names } = proxy;
  if (!tlsFilesOf(proxy)) return [];
  const group = server === "caddy" ? "caddy" : "root";
  if (tls.mode === "files" && tls.files) {
    const { certificate, key } = tls.files;
    const secretOf = (reference: { id: string }): pulumi.Output<string> =>
      pulumi.secret(withLineEnd(secrets[`secret-${reference.id}`] ?? ""));
    const parts: [string, string, pulumi.Input<string> | undefined][] = [
      [
        "chain.pem",
        "0644",
        typeof certificate === "string" ? withLineEnd(certificate) : "id" in certificate ? secretOf(certificate) : undefined,
      ],
      ["key.pem", "0640", "id" in key ? secretOf(key) : undefined],
    ];
    return parts.flatMap(([file, mode, content]) =>
      content === undefined
        ? []
        : [
            createFile(
              { path: `${tlsFolder}/${file}`, mode, owner: `root:${group}`, content, validate: withoutTimer },
              host,
              facts,
              { parent },
            ),
          ],
    );
  }
  const all = names.length > 0 ? names : [address];
  const alternatives = all.map((name) => `${isIP(name) ? "IP" : "DNS"}:${name}`).join(",");
  const put = ["self-signed", tlsFolder, all[0] ?? address, alternatives, group, tls.mode];
  return [agentCommand("self-signed-certificate", host, { put, take: ["take-folder", tlsFolder] }, { parent })];
}

/** What certbot reads and nobody else: file -> content. */
export function acmeSecrets(
  { tls }: ProxySettings,
  secrets: { [key: string]: string },
): { [file: string]: pulumi.Output<string> } {
  const { dns, externalAccount } = tls.acme;
  if (tls.mode !== "acme") return {};
  const secretOf = ({ id }: { id: string }): string => (secrets[`secret-${id}`] ?? "").trim();
  return {
    ...(dns?.credentials ? { [acmeFiles.dns]: pulumi.secret(`${secretOf(dns.credentials)}\n`) } : {}),
    ...(externalAccount
      ? {
          [acmeFiles.account]: pulumi.secret(
            `eab-kid = ${externalAccount.kid}\neab-hmac-key = ${secretOf(externalAccount.hmacKey)}\n`,
          ),
        }
      : {}),
  };
}

/** After everything else: an authority that refuses leaves the rest in place. The proxy answers its questions. */
export function createAcmeCertificate(
  host: Host,
  { server, names, tls, ports }: ProxySettings,
  files: readonly SystemFile[],
  options: pulumi.ComponentResourceOptions,
): pulumi.Resource | undefined {
  if (tls.mode !== "acme") return undefined;
  if (server === "caddy") {
    const put = ["caddy-certificate", String(ports.https), tls.acme.directory, ...names];
    return agentCommand("acme-certificate", host, { put }, options);
  }
  // Asked for again when anything of it changes.
  const program = files.find(({ path }) => path.endsWith("/renew-certificate"));
  const revision = revisionOf([program?.content ?? ""]);
  return agentCommand("acme-certificate", host, { put: ["certbot", revision], take: ["take-certbot"] }, options);
}

const withLineEnd = (text: string): string => `${text.trim()}\n`;

/** Where an authority's certificate was used before, its timer would put that in this one's place once more. */
const withoutTimer = "systemctl stop openclaw-certificate.timer openclaw-certificate.service 2>/dev/null || true";
