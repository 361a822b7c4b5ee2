/** The ports of the proxy and of the gateway are free on the server, or held by what is ours or may be shared. */
import type { Check, Finding } from "./check.ts";
import { lookAtServer, looked, type VmSubject } from "./vm-subject.ts";

export const vmPorts: Check = {
  name: "ports",
  looked,
  async run(subject) {
    const server = await lookAtServer(subject);
    return server ? portFindings(server) : [];
  },
};

export function portFindings({ facts, proxy, gatewayPort, vm }: VmSubject): Finding[] {
  if (!facts) return [];
  const { listening, installation } = facts;
  const { server, tls, ports } = proxy;
  const findings: Finding[] = [];
  const holders = (port: number): string[] => [
    ...new Set(listening.filter((one) => one.port === port).map(({ program }) => program || "another program")),
  ];
  for (const port of tls.mode === "none" ? [ports.http] : [ports.http, ports.https]) {
    for (const holder of holders(port)) {
      // Sites of others in the same program stay.
      if (holder === server) continue;
      const fix = `stop it on the server (${vm.host}), or choose other ports: proxy.ports`;
      findings.push({ level: "error", message: `port ${port} of the server is taken by ${holder}; ${fix}` });
    }
  }
  const [other] = installation === undefined ? holders(gatewayPort) : [];
  if (other) {
    const fix = "stop it there, or choose another port: gateway.port";
    findings.push({ level: "error", message: `port ${gatewayPort} of the server is taken by ${other}; ${fix}` });
  }
  return findings;
}
