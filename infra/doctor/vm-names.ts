/** The names of the site lead to the server: without that no certificate is given, and nobody finds it. */
import type { Check, Finding } from "./check.ts";
import { addressesOf, areNeeded, leadsNowhere, namesOf } from "./site-names.ts";
import { lookAtServer, looked } from "./vm-subject.ts";

export const vmNames: Check = {
  name: "DNS names",
  looked,
  async run(subject) {
    const server = await lookAtServer(subject);
    if (!server?.facts) return [];
    const { proxy, facts, vm } = server;
    const own = new Set([...facts.addresses, ...(await addressesOf(vm.host ?? ""))]);
    const findings = await Promise.all(namesOf(proxy).map((name) => nameFindings(name, own, areNeeded(proxy))));
    return findings.flat();
  },
};

async function nameFindings(name: string, own: ReadonlySet<string>, needed: boolean): Promise<Finding[]> {
  const found = await addressesOf(name);
  const fix = `make a record for it that leads to the server (${[...own].join(", ")})`;
  if (found.length === 0) return [leadsNowhere(name, needed, fix)];
  if (found.some((address) => own.has(address))) return [];
  return [
    {
      level: "warning",
      message: `the name ${name} leads to ${found.join(", ")}, which is not an address of the server; ${fix}`,
    },
  ];
}
