/** The server's clock is right: certificates and tokens begin and end at a time. */
import type { Finding } from "./check.ts";
import { factsCheck } from "./vm-subject.ts";

const noticedSeconds = 30;
const refusedSeconds = 600;

export const vmClock = factsCheck("clock", ({ time }) => clockFindings(time, Date.now() / 1000));

export function clockFindings(there: number, here: number): Finding[] {
  const seconds = Math.round(there - here);
  if (Math.abs(seconds) < noticedSeconds) return [];
  const fix = "set one of them right; on the server: timedatectl set-ntp true";
  const message = `the server's clock is ${Math.abs(seconds)} s ${seconds < 0 ? "behind" : "ahead of"} this machine's; ${fix}`;
  return [{ level: Math.abs(seconds) < refusedSeconds ? "warning" : "error", message }];
}
