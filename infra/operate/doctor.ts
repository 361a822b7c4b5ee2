/** `npm run doctor`, and the same checks before `npm run up` touches anything. */

import type { Finding, Subject } from "../doctor/check.ts";
import { checks } from "../doctor/index.ts";
import { settingsCheck } from "../doctor/settings.ts";
import { askEngine } from "./engine.ts";
import { OperatorError } from "./operator-error.ts";
import { findWorkplace, targetOf, type Workplace } from "./workplace.ts";

export async function runDoctor(args: string[]): Promise<number> {
  const workplace = findWorkplace(args);
  const subject = toSubject(workplace);
  let failed = false;
  for (const check of [settingsCheck(Object.keys(checks)), ...checksOf(workplace)]) {
    const findings = await check.run(subject);
    failed ||= findings.some(({ level }) => level === "error");
    const looked = (await check.looked?.(subject)) ?? true;
    if (findings.length === 0)
      console.log(`${looked ? "ok      " : "-       "} ${check.name}${looked ? "" : ": not looked at"}`);
    for (const finding of findings) console.log(`${finding.level.padEnd(8)} ${check.name}: ${finding.message}`);
  }
  return failed ? 1 : 0;
}

/** All that is wrong at once; warnings are shown and do not stop. */
export async function checkBeforeUp(workplace: Workplace): Promise<void> {
  const subject = toSubject(workplace);
  const findings: Finding[] = (await Promise.all(checksOf(workplace).map((check) => check.run(subject)))).flat();
  for (const { level, message } of findings) if (level === "warning") console.error(`warning: ${message}`);
  const errors = findings.filter(({ level }) => level === "error").map(({ message }) => message);
  if (errors.length > 0) throw new OperatorError(errors.join("\nerror: "));
}

function checksOf(workplace: Workplace) {
  return checks[targetOf(workplace) ?? ""] ?? [];
}

export function toSubject(workplace: Workplace): Subject {
  return {
    clone: workplace.clone,
    directory: workplace.places.directory,
    stackFile: workplace.stackFile,
    async secret(key) {
      const { code, stdout } = await askEngine(workplace, ["config", "get", key, "--stack", workplace.stack]);
      return code === 0 ? stdout.trim() : undefined;
    },
  };
}
