/** `npm run doctor`, and the same checks before `npm run up` touches anything. */

import type { Finding } from "../doctor/check.ts";
import { checks } from "../doctor/index.ts";
import { OperatorError } from "./operator-error.ts";
import { findWorkplace, isDeployedHere, type Workplace } from "./workplace.ts";

export async function runDoctor(args: string[]): Promise<number> {
  const workplace = findWorkplace(args);
  let failed = false;
  for (const check of checks) {
    const findings = await check.run(toSubject(workplace));
    failed ||= findings.some(({ level }) => level === "error");
    if (findings.length === 0) console.log(`ok       ${check.name}`);
    for (const finding of findings) console.log(`${finding.level.padEnd(8)} ${check.name}: ${finding.message}`);
  }
  return failed ? 1 : 0;
}

/** All that is wrong at once; warnings are shown and do not stop. */
export async function checkBeforeUp(workplace: Workplace): Promise<void> {
  if (!isDeployedHere(workplace)) return;
  const findings: Finding[] = (await Promise.all(checks.map((check) => check.run(toSubject(workplace))))).flat();
  for (const { level, message } of findings) if (level === "warning") console.error(`warning: ${message}`);
  const errors = findings.filter(({ level }) => level === "error").map(({ message }) => message);
  if (errors.length > 0) throw new OperatorError(errors.join("\nerror: "));
}

function toSubject(workplace: Workplace) {
  return { clone: workplace.clone, directory: workplace.places.directory, stackFile: workplace.stackFile };
}
