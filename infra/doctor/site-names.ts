/** Names of the site: where they lead, and what it means where they lead nowhere. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { ProxySettings } from "../settings-proxy.ts";
import type { Finding } from "./check.ts";

/** Those that are no addresses. */
export const namesOf = ({ names }: ProxySettings): string[] => names.filter((name) => isIP(name) === 0);

/** An authority asks at the names before it gives a certificate. */
export const areNeeded = ({ tls }: ProxySettings): boolean => tls.mode === "acme" && tls.acme.challenge === "http-01";

/** Empty where there are none. */
export const addressesOf = (name: string): Promise<string[]> =>
  lookup(name, { all: true }).then(
    (found) => found.map(({ address }) => address),
    () => [],
  );

export function leadsNowhere(name: string, needed: boolean, fix: string): Finding {
  const why = needed ? "; no certificate can be had for it" : "";
  return { level: needed ? "error" : "warning", message: `the name ${name} leads nowhere${why}; ${fix}` };
}
