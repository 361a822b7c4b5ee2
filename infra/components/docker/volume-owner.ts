/**
 * Makes volumes belong to the user of the containers, for a Command resource: `volume-owner.ts <task as JSON>`.
 * A volume with files of somebody else is adopted where the settings say so, and refused otherwise.
 */
import { z } from "zod";
import { endpointSchema } from "./client.ts";
import { runTask } from "./command-program.ts";
import { runHelper } from "./helper.ts";

export const ownerTaskSchema = z.strictObject({
  endpoint: endpointSchema,
  volumes: z.array(z.string()),
  owner: z.int(),
  adopt: z.boolean(),
  image: z.string().optional(),
});
export type OwnerTask = z.output<typeof ownerTaskSchema>;

/** A few thousand entries are looked at; one that is another's is enough to ask. */
const script = `
const fs = require("fs"), path = require("path");
const { owner, adopt } = JSON.parse(process.env.TASK);
const foreign = (at) => {
  for (const name of fs.readdirSync(at)) {
    const file = path.join(at, name), status = fs.lstatSync(file);
    if (status.uid !== owner && name !== "lost+found" && !name.startsWith(".incoming-")) return { file, uid: status.uid };
    if (status.isDirectory()) { const below = foreign(file); if (below) return below; }
  }
};
const take = (at) => {
  fs.lchownSync(at, owner, owner);
  if (fs.lstatSync(at).isDirectory()) for (const name of fs.readdirSync(at)) take(path.join(at, name));
};
const found = foreign("/place");
if (found && !adopt) {
  console.log("belongs to user " + found.uid + " (" + found.file.slice(7) + ")");
  process.exit(3);
}
if (found) take("/place");
else fs.chownSync("/place", owner, owner);
`;

await runTask(import.meta.main, ownerTaskSchema, async (docker, { volumes, owner, adopt, image }) => {
  const results = await Promise.all(
    volumes.map((place) =>
      runHelper(docker, { place, image, script, task: { owner, adopt } }).then(
        () => undefined,
        (error: unknown) => `the volume ${place} ${error instanceof Error ? error.message : String(error)}`,
      ),
    ),
  );
  const refused = results.filter((text) => text !== undefined);
  if (refused.length === 0) return;
  const fix = `Nothing was changed. To make all of it the gateway's (user ${owner}): docker.volumes.adopt: true; or choose another docker.project.`;
  throw new Error(`${refused.join("\n")}\n${refused.some((text) => text.includes("belongs to")) ? fix : ""}`.trim());
});
