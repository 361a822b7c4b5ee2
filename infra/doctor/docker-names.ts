/** The names of the site lead somewhere: an authority asks there before it gives a certificate. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Check, Finding } from "./check.ts";
import { lookAtDocker } from "./docker-subject.ts";

export const dockerNames: Check = {
  name: "DNS names",
  async run(subject) {
    const host = await lookAtDocker(subject);
    if (!host) return [];
    const { tls, names } = host.proxy;
    const needed = tls.mode === "acme" && tls.acme.challenge === "http-01";
    const found = await Promise.all(names.filter((name) => isIP(name) === 0).map((name) => nameFindings(name, needed)));
    return found.flat();
  },
};

async function nameFindings(name: string, needed: boolean): Promise<Finding[]> {
  const leads = await lookup(name).then(
    () => true,
    () => false,
  );
  if (leads) return [];
  const why = needed ? "; no certificate can be had for it" : "";
  const message = `the name ${name} leads nowhere${why}; make a record for it that leads to the Docker host`;
  return [{ level: needed ? "error" : "warning", message }];
}
