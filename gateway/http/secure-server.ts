// Sockets of the server: HTTP, or HTTPS with the gateway's own certificate, under the same limits.
import type { RequestListener, Server, ServerOptions } from "node:http";
import { createServer } from "node:https";
import type { StackConfig } from "../config/stack.ts";
import type { TlsFiles } from "../config/tls-files.ts";

type Limits = StackConfig["http"];

/** Slow or endless headers are cut by Node itself, which looks once a second. */
export const serverOptions = ({ headersTimeoutMs }: Limits): ServerOptions => ({
  headersTimeout: headersTimeoutMs,
  connectionsCheckingInterval: 1000,
  // Refused by the server itself, in the shape of its errors.
  requireHostHeader: false,
});

/** HTTP/1.1 over TLS 1.2 and newer. With authorities, callers without a certificate of theirs are refused in the handshake. */
export function secureServer({ material }: TlsFiles, limits: Limits): (handler: RequestListener) => Server {
  return (handler) => {
    const server = createServer(
      {
        ...serverOptions(limits),
        ...material,
        ...(material.ca === undefined ? {} : { requestCert: true, rejectUnauthorized: true }),
        handshakeTimeout: limits.headersTimeoutMs,
        minVersion: "TLSv1.2",
      },
      handler,
    );
    server.keepAliveTimeout = limits.keepAliveTimeoutMs;
    server.requestTimeout = limits.requestTimeoutMs;
    return server;
  };
}
