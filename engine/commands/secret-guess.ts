/** Guesses whether a setting that is to be kept in clear is a secret: by its name, and by how random its value looks. */

const suspicious = /passwd|pass|password|pwd|secret|token/i;
const classes: [RegExp, number][] = [
  [/[a-z]/, 26],
  [/[A-Z]/, 26],
  [/[0-9]/, 10],
  [/[^A-Za-z0-9]/, 33],
];

/**
 * The CLI asks zxcvbn for the entropy of the first 16 characters. Here it is estimated from the character classes and the
 * share of different characters, which agrees on what matters: generated keys are refused, words and file names are not.
 */
export function looksLikeSecret(key: string, value: string): boolean {
  if (!suspicious.test(key.slice(key.indexOf(":") + 1))) return false;
  const head = value.slice(0, 16);
  if (head.length === 0) return false;
  const alphabet = classes.reduce((size, [pattern, count]) => size + (pattern.test(head) ? count : 0), 0);
  const variety = new Set(head).size / head.length;
  const mixed = classes.filter(([pattern]) => pattern.test(head)).length;
  const bits = head.length * Math.log2(alphabet) * variety;
  // Words, also in a path or URL and with a number at their end, are names rather than keys.
  if (/^[-_./~@]?[A-Za-z]+([^A-Za-z0-9]{1,3}[A-Za-z]+)*[^A-Za-z0-9]?[0-9]{0,4}$/.test(head)) return false;
  return mixed >= 2 && bits >= 40 && bits / head.length >= 3;
}
