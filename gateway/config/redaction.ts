// Takes known secrets out of texts: however many there are, a text without any is looked through once.

/** Shorter secrets are not searched for in texts: they would turn up in ordinary words. */
const minRedacted = 6;
/** Places of the table of steps, by two characters that follow each other. */
const places = 4096;
const maxStep = 255;

export function createRedaction(secrets: readonly string[]): (text: string) => string {
  const forms = formsOf(secrets);
  const holdsOne = createFinder(forms);
  return (text) => {
    if (!holdsOne(text)) return text;
    let clean = text;
    for (const form of forms) if (clean.includes(form)) clean = clean.replaceAll(form, "[secret]");
    return clean;
  };
}

/** How they may be spelled in texts. */
function formsOf(secrets: readonly string[]): readonly string[] {
  const all = secrets
    .filter((value) => value.length >= minRedacted)
    .flatMap((value) => [
      value,
      JSON.stringify(value).slice(1, -1),
      encodeURIComponent(value),
      Buffer.from(value).toString("base64"),
    ]);
  return [...new Set(all)];
}

/**
 * Wu and Manber's way (1994): two characters say how far the next one may be that is the end of what all the texts sought
 * begin with, as long as the shortest of them is. Exported for its tests.
 */
export function createFinder(sought: readonly string[]): (text: string) => boolean {
  if (sought.length === 0) return () => false;
  const length = Math.min(...sought.map((one) => one.length));
  if (length < 2) return (text) => sought.some((one) => text.includes(one));
  const steps = new Uint8Array(places).fill(Math.min(maxStep, length - 1));
  for (const one of sought) {
    for (let at = 1; at < length; at += 1) {
      const place = placeOf(one.charCodeAt(at - 1), one.charCodeAt(at));
      steps[place] = Math.min(steps[place] ?? 0, length - 1 - at);
    }
  }
  return (text) => {
    let at = length - 1;
    while (at < text.length) {
      const step = steps[placeOf(text.charCodeAt(at - 1), text.charCodeAt(at))] ?? 0;
      if (step > 0) at += step;
      else {
        const start = at - length + 1;
        for (const one of sought) if (text.startsWith(one, start)) return true;
        at += 1;
      }
    }
    return false;
  };
}

const placeOf = (first: number, second: number): number => ((first << 5) ^ second) & (places - 1);
