/** Bounds the processes of containers, for a Command resource: `process-limits.ts <task as JSON>`. Docker's provider has no setting for it. */
import { z } from "zod";
import { endpointSchema } from "./client.ts";
import { runTask } from "./command-program.ts";

export const processLimitsSchema = z.strictObject({
  endpoint: endpointSchema,
  /** Container's name -> processes and threads. */
  limits: z.record(z.string(), z.int()),
});
export type ProcessLimits = z.output<typeof processLimitsSchema>;

await runTask(import.meta.main, processLimitsSchema, async (docker, { limits }) => {
  await Promise.all(
    Object.entries(limits).map(([name, PidsLimit]) =>
      docker.bytes({ method: "POST", path: `/containers/${name}/update`, body: { PidsLimit } }),
    ),
  );
});
