/** What `doctor` found: exactly what was made wrong. */
import assert from "node:assert/strict";

/**
 * Each check of `expected` said something of its pattern, and no other check found anything, but those of `ownOfMachine`, which
 * may warn of the machine that the test runs on. Gives back the text.
 */
export function assertFindings(
  { code, text }: { code: number; text: string },
  expected: { [check: string]: RegExp },
  ownOfMachine: readonly string[] = [],
): string {
  const found = [...text.matchAll(/^(?:error|warning) +([^:]+): (.*)$/gm)].map(([, check = "", message = ""]) => ({
    check,
    message,
  }));
  for (const [check, pattern] of Object.entries(expected)) {
    assert.ok(
      found.some((one) => one.check === check && pattern.test(one.message)),
      `${check} did not say ${pattern}:\n${text}`,
    );
  }
  const names = new Set(found.map(({ check }) => check).filter((check) => check in expected || !ownOfMachine.includes(check)));
  assert.deepEqual([...names].sort(), Object.keys(expected).sort(), text);
  assert.equal(code, 1, text);
  return text;
}
