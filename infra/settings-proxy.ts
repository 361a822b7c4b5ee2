/** The section `proxy` of a stack file: the server in front of the gateway, its names, its certificate and its bounds. */
import { isIP } from "node:net";
import { z } from "zod";

/** `{ source: file, provider: stack, id: <name> }`: the stack's secret `secret-<name>`. */
const stackSecretSchema = z.strictObject({
  source: z.literal("file"),
  provider: z.literal("stack"),
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, "expected letters, digits, . _ and -"),
});

const serverPathSchema = z.strictObject({
  path: z
    .string()
    .regex(/^\/[A-Za-z0-9._/@+-]+$/, "expected an absolute path without spaces, such as /etc/ssl/private/gateway.pem")
    .describe("a file that is on the server already, and is renewed there by somebody else"),
});

const domain = /^(?=.{1,253}$)(?!-)([a-z0-9-]{1,63}\.)*[a-z0-9-]{1,63}$/;

export const isAddress = (name: string): boolean => isIP(name) !== 0;

const nameSchema = z
  .string()
  .refine(
    (name) => isAddress(name) || (domain.test(name) && !/^[\d.]+$/.test(name)),
    "expected a lower-case host name or an address, without a scheme, a port or a path, such as ai.example.com",
  );

const networkSchema = z
  .string()
  .refine(isNetwork, "expected an address or a network, such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32");

const portSchema = z.int().min(1).max(65535);
const secondsSchema = z.int().min(1).max(86_400);

const directorySchema = z.string().refine((text) => {
  if (!URL.canParse(text) || /[\s{}"'\\]/.test(text)) return false;
  const { protocol, username } = new URL(text);
  return protocol === "https:" && username === "";
}, "expected the https address of an ACME directory, without a user or a password");

const acmeSchema = z.strictObject({
  email: z.email("expected an e-mail address").optional().describe("who is told when a certificate is about to end"),
  challenge: z
    .enum(["http-01", "dns-01"])
    .default("http-01")
    .describe("http-01: port 80 of each name leads here; dns-01: through the DNS provider, also for servers nobody can reach"),
  directory: directorySchema
    .default("https://acme-v02.api.letsencrypt.org/directory")
    .describe("the ACME server; naming it agrees to its terms"),
  caFile: serverPathSchema.shape.path
    .optional()
    .describe("on the server: the authority that an ACME server of one's own is signed by"),
  checkSeconds: z
    .int()
    .min(10)
    .max(604_800)
    .default(43_200)
    .describe("how often it is looked whether it is time to renew; less for certificates that are good for hours"),
  dns: z
    .strictObject({
      provider: z
        .string()
        .regex(/^[a-z][a-z0-9-]*$/, "expected the name of a certbot DNS plug-in, such as cloudflare, route53 or rfc2136")
        .describe("certbot's plug-in, without its dns- in front"),
      credentials: stackSecretSchema.optional().describe("the plug-in's credentials file: a secret of the stack"),
      propagationSeconds: secondsSchema.max(3600).default(60).describe("wait so long for the record to spread"),
    })
    .optional()
    .describe("for challenge dns-01"),
  externalAccount: z
    .strictObject({
      kid: z
        .string()
        .regex(/^[\x21-\x7e]+$/, "expected the id as the authority gave it, without spaces")
        .describe("the account's id at the authority"),
      hmacKey: stackSecretSchema.describe("the account's key: a secret of the stack"),
    })
    .optional()
    .describe("for authorities that want an account, such as ZeroSSL"),
});

const tlsSchema = z
  .strictObject({
    mode: z
      .enum(["acme", "files", "self-signed", "none"])
      .default("self-signed")
      .describe(
        "acme: certificates by themselves (Let's Encrypt); files: your own; self-signed: encrypted, but clients must be told to trust it; none: plain HTTP, for a LAN or behind something that has TLS",
      ),
    acme: acmeSchema.prefault({}).describe("for mode acme"),
    files: z
      .strictObject({
        certificate: z
          .union([
            z.string().regex(/-----BEGIN CERTIFICATE-----/, "expected PEM text: the certificate, then the chain"),
            stackSecretSchema,
            serverPathSchema,
          ])
          .describe("PEM text of the certificate and its chain, a secret of the stack, or { path: … } on the server"),
        key: z
          .union([stackSecretSchema, serverPathSchema])
          .describe("its key: a secret of the stack, or { path: … } on the server; never in clear"),
      })
      .optional()
      .describe("for mode files"),
  })
  .superRefine((tls, context) => {
    const fault = (path: string[], message: string): void => context.addIssue({ code: "custom", path, message });
    if (tls.mode === "files" && !tls.files)
      fault(["files"], "is missing: tls.mode is files, so give certificate and key here, or choose another mode");
    if (tls.mode !== "files" && tls.files)
      fault(["files"], `is not used: tls.mode is ${tls.mode}; set it to files, or remove this`);
    if (tls.mode === "acme" && tls.acme.challenge === "dns-01" && !tls.acme.dns)
      fault(["acme", "dns"], "is missing: tls.acme.challenge is dns-01, so name the DNS provider here");
  });

export const proxySettings = z
  .strictObject({
    server: z
      .enum(["nginx", "caddy"])
      .default("nginx")
      .describe("the program; caddy cuts WebSockets when its configuration changes"),
    names: z
      .array(nameSchema)
      .default([])
      .describe("host names and addresses that are answered, the first is the main one; empty: every name (not with acme)"),
    tls: tlsSchema.prefault({}).describe("encryption"),
    http2: z.boolean().default(true).describe("offer HTTP/2"),
    ipv6: z.boolean().default(true).describe("listen on IPv6 too"),
    ports: z
      .strictObject({
        http: portSchema.default(80).describe("redirects to https, and answers ACME; with tls.mode none it serves"),
        https: portSchema.default(443).describe("the port that people use"),
      })
      .prefault({})
      .describe("where it listens; target docker: docker.publish"),
    hsts: z
      .strictObject({
        enabled: z.boolean().default(true).describe("sent with certificates that browsers can check only: acme and files"),
        maxAgeSeconds: z.int().min(0).default(63_072_000).describe("browsers keep to https so long"),
        includeSubdomains: z.boolean().default(false).describe("names below these too"),
        preload: z.boolean().default(false).describe("allow browsers to ship the names; hard to take back"),
      })
      .prefault({})
      .describe("Strict-Transport-Security"),
    maxBodyBytes: z
      .int()
      .min(1024)
      .max(2 ** 31)
      .default(52_428_800)
      .describe("larger requests are refused with 413; http.maxBodyBytes is the gateway's own limit"),
    allowMetricsFrom: z
      .array(networkSchema)
      .default([])
      .describe("addresses and networks that may read /metrics and /readyz/models through the proxy; empty: nobody"),
    maxConnectionsPerAddress: z
      .int()
      .min(1)
      .max(65_535)
      .default(512)
      .describe("requests and WebSockets of one address at the same time; an office may be one address. nginx only"),
    balance: z
      .enum(["least-connections", "address", "cookie"])
      .default("least-connections")
      .describe(
        "which of several gateways is asked: the least busy, always the same for an address, or for a cookie (GATEWAY_ID)",
      ),
    accessLog: z.boolean().default(true).describe("one line a request, without what stands behind a ? in its address"),
    timeouts: z
      .strictObject({
        connectSeconds: secondsSchema
          .max(300)
          .default(2)
          .describe("a gateway that does not answer the connection is passed over"),
        headerSeconds: secondsSchema.default(15).describe("a client must send its headers within this time"),
        bodySeconds: secondsSchema.default(60).describe("between two parts of a request's body"),
        idleSeconds: secondsSchema.default(3600).describe("a stream or WebSocket may be silent this long"),
        sendSeconds: secondsSchema.default(300).describe("a client that reads nothing this long is cut off"),
        keepAliveSeconds: secondsSchema.default(75).describe("an idle connection of a client is kept this long"),
        reloadSeconds: secondsSchema
          .default(3600)
          .describe("streams that run when the configuration changes may go on this long; caddy sets no bound"),
      })
      .prefault({})
      .describe("times"),
  })
  .superRefine((proxy, context) => {
    const fault = (path: (string | number)[], message: string): void => context.addIssue({ code: "custom", path, message });
    const { tls, names, ports } = proxy;
    if (new Set(names).size < names.length) fault(["names"], "holds a name twice; keep one of them");
    if (tls.mode !== "none" && ports.http === ports.https)
      fault(["ports", "https"], "is the same as ports.http; choose another");
    if (tls.mode !== "acme") return;
    if (names.length === 0) fault(["names"], "is empty: tls.mode is acme, so name the hosts that the certificate is for");
    for (const [index, name] of names.entries())
      if (isAddress(name) || !name.includes("."))
        fault(["names", index], "gets no certificate by ACME: only public host names do; remove it, or use tls.mode files");
    if (proxy.server === "caddy" && tls.acme.challenge === "dns-01")
      fault(["tls", "acme", "challenge"], "dns-01 needs server nginx: the packaged caddy speaks to no DNS provider");
    if (proxy.server === "caddy" && tls.acme.externalAccount)
      fault(["tls", "acme", "externalAccount"], "needs server nginx: Caddy would have its key in its configuration, in clear");
  });

export type ProxySettings = z.output<typeof proxySettings>;

/** With defaults: what a stack file without the section gets. */
export const defaultProxySettings = (): ProxySettings => proxySettings.parse({});

function isNetwork(text: string): boolean {
  const [address = "", bits, more] = text.split("/");
  const family = isIP(address);
  if (family === 0 || more !== undefined) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}
