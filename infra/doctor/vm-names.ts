/** The names of the site lead to the server: without that no certificate is given, and nobody finds it. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Check, Finding } from "./check.ts";
import { lookAtServer, looked } from "./vm-subject.ts";

export const vmNames: Check = {
  name: "DNS names",
  looked,
  async run(subject) {
    const server = await lookAtServer(subject);
    if (!server?.facts) return [];
    const { proxy, facts, vm } = server;
    const own = new Set([...facts.addresses, ...(await addressesOf(vm.host ?? ""))]);
    const findings = await Promise.all(
      proxy.names
        .filter((name) => isIP(name) === 0)
        .map((name) => nameFindings(name, own, proxy.tls.mode === "acme" && proxy.tls.acme.challenge === "http-01")),
    );
    return findings.flat();
  },
};

async function nameFindings(name: string, own: ReadonlySet<string>, needed: boolean): Promise<Finding[]> {
  const found = await addressesOf(name);
  const fix = `make a record for it that leads to the server (${[...own].join(", ")})`;
  if (found.length === 0) {
    const why = needed ? "; no certificate can be had for it" : "";
    return [{ level: needed ? "error" : "warning", message: `the name ${name} leads nowhere${why}; ${fix}` }];
  }
  if (found.some((address) => own.has(address))) return [];
  return [
    {
      level: "warning",
      message: `the name ${name} leads to ${found.join(", ")}, which is not an address of the server; ${fix}`,
    },
  ];
}

async function addressesOf(name: string): Promise<string[]> {
  try {
    return (await lookup(name, { all: true })).map(({ address }) => address);
  } catch {
    return [];
  }
}
