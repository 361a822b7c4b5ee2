/**
 * Source maps for stack traces: which line of which of our files. What Node reads at the start and keeps is a tenth of a full
 * map's size: no columns, no names, and nothing of packages. Format: ECMA-426, "Mappings structure".
 */

interface SourceMap {
  version: number;
  sources: string[];
  mappings: string;
}

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const values = new Map([...digits].map((digit, value) => [digit, value]));

/** Undefined where nothing of it is ours. `ourName` gives a source's new name; undefined for those that are left out. */
export function lineMap(text: string, ourName: (source: string) => string | undefined): string | undefined {
  const map: SourceMap = JSON.parse(text);
  const names = map.sources.map(ourName);
  const sources = [...new Set(names.filter((name) => name !== undefined))];
  if (sources.length === 0) return undefined;
  const indexes = names.map((name) => (name === undefined ? -1 : sources.indexOf(name)));

  let source = 0;
  let line = 0;
  let writtenSource = 0;
  let writtenLine = 0;
  const lines = map.mappings.split(";").map((generated) => {
    let column = 0;
    let writtenColumn = 0;
    let last = "";
    const kept: string[] = [];
    for (const segment of generated.split(",")) {
      const [columnStep = 0, sourceStep, lineStep] = decode(segment);
      column += columnStep;
      source += sourceStep ?? 0;
      line += lineStep ?? 0;
      const index = sourceStep === undefined ? -1 : (indexes[source] ?? -1);
      const place = index < 0 ? "" : `${index}:${line}`;
      if (place === last) continue;
      last = place;
      const numbers = [column - writtenColumn];
      writtenColumn = column;
      if (index >= 0) {
        numbers.push(index - writtenSource, line - writtenLine, 0);
        writtenSource = index;
        writtenLine = line;
      }
      kept.push(numbers.map(encode).join(""));
    }
    return kept.join(",");
  });
  return JSON.stringify({ version: 3, sources, names: [], mappings: lines.join(";") });
}

function decode(segment: string): number[] {
  const numbers: number[] = [];
  let value = 0;
  let shift = 0;
  for (const character of segment) {
    const digit = values.get(character) ?? 0;
    value += (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value & 1 ? -(value >> 1) : value >> 1);
    value = 0;
    shift = 0;
  }
  return numbers;
}

function encode(number: number): string {
  let rest = number < 0 ? (-number << 1) | 1 : number << 1;
  let text = "";
  do {
    const digit = rest & 31;
    rest >>= 5;
    text += digits[rest > 0 ? digit | 32 : digit];
  } while (rest > 0);
  return text;
}
