/** Bounds the processes of containers, for a Command resource: `process-limits.ts <task as JSON>`. Docker's provider has no setting for it. */
import { z } from "zod";
import { connectDocker, endpointSchema } from "./client.ts";

export const processLimitsSchema = z.strictObject({
  endpoint: endpointSchema,
  /** Container's name -> processes and threads. */
  limits: z.record(z.string(), z.int()),
});
export type ProcessLimits = z.output<typeof processLimitsSchema>;

async function main(): Promise<void> {
  const { endpoint, limits } = processLimitsSchema.parse(JSON.parse(process.argv[2] ?? ""));
  const docker = connectDocker(endpoint);
  try {
    await Promise.all(
      Object.entries(limits).map(([name, PidsLimit]) =>
        docker.bytes({ method: "POST", path: `/containers/${name}/update`, body: { PidsLimit } }),
      ),
    );
  } finally {
    docker.close();
  }
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
