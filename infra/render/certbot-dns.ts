/** Pure: how certbot proves the names by a DNS provider, wherever it runs. */
import type { ProxySettings } from "../settings-proxy.ts";

export interface CertbotDns {
  /** certbot's long options, without their dashes. */
  readonly options: readonly (readonly [name: string, value: string])[];
  readonly environment: { readonly [name: string]: string };
}

/** Undefined for other challenges. `credentialsFile` is read where the settings have credentials. */
export function certbotDns({ tls: { acme } }: ProxySettings, credentialsFile: string): CertbotDns | undefined {
  if (acme.challenge !== "dns-01" || !acme.dns) return undefined;
  const { provider, credentials, propagationSeconds } = acme.dns;
  const plugin = `dns-${provider}`;
  // Amazon's own library reads its credentials, and its service says itself when a record has spread.
  if (provider === "route53") {
    return {
      options: [["authenticator", plugin]],
      environment: credentials ? { AWS_SHARED_CREDENTIALS_FILE: credentialsFile } : {},
    };
  }
  return {
    options: [
      ["authenticator", plugin],
      ...(credentials ? [[`${plugin}-credentials`, credentialsFile] as const] : []),
      [`${plugin}-propagation-seconds`, String(propagationSeconds)],
    ],
    environment: {},
  };
}
