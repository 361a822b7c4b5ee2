/** `npm run -s exports`: the lines that let a shell call `pulumi` itself on this clone's state. They hold paths, no secret. */
import { findWorkplace, prepareWorkplace } from "./workplace.ts";

export async function showExports(args: string[]): Promise<number> {
  const workplace = findWorkplace(args);
  prepareWorkplace(workplace);
  for (const name of ["PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_STACK"]) {
    const value = workplace.environment[name];
    // Single quotes keep everything; one within ends, escapes and begins the quoting anew.
    if (value) console.log(`export ${name}='${value.replaceAll("'", "'\\''")}'`);
  }
  return 0;
}
