/**
 * Waits for the authority's certificate, for a Command resource: `acme-certificate.ts <task as JSON>`.
 * Where certbot gets none, what the authority said is the error; the site goes on with the certificate that it has.
 */
import { z } from "zod";
import { endpointSchema } from "./client.ts";
import { runTask } from "./command-program.ts";
import { runInContainer } from "./exec.ts";
import { findRunning } from "./reload.ts";

export const acmeTaskSchema = z.strictObject({
  endpoint: endpointSchema,
  project: z.string(),
  names: z.array(z.string()),
  /** Run in certbot's container; it ends when certbot has. */
  command: z.array(z.string()),
});
export type AcmeTask = z.output<typeof acmeTaskSchema>;

await runTask(import.meta.main, acmeTaskSchema, async (docker, { project, names, command }) => {
  const certbot = await findRunning(docker, project, "certbot");
  const { code, text } = certbot
    ? await runInContainer(docker, certbot.id, command)
    : { code: 1, text: "its container does not run" };
  if (code === 0) return;
  throw new Error(
    `certbot got no certificate for ${names.join(", ")}:\n${text.trim()}\nThe site runs with the certificate that it has (a self-signed one until the first is there), and certbot goes on trying. Once the cause is gone: npm run up`,
  );
});
