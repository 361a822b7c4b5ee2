/** The names of the site lead somewhere: an authority asks there before it gives a certificate. */
import type { Check } from "./check.ts";
import { lookAtDocker } from "./docker-subject.ts";
import { addressesOf, areNeeded, leadsNowhere, namesOf } from "./site-names.ts";

const fix = "make a record for it that leads to the Docker host";

export const dockerNames: Check = {
  name: "DNS names",
  looked: async (subject) => (await lookAtDocker(subject)) !== undefined,
  async run(subject) {
    const host = await lookAtDocker(subject);
    if (!host) return [];
    const found = await Promise.all(
      namesOf(host.proxy).map(async (name) =>
        (await addressesOf(name)).length > 0 ? [] : [leadsNowhere(name, areNeeded(host.proxy), fix)],
      ),
    );
    return found.flat();
  },
};
