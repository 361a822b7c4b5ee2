/** Pure: lines to text, indented by the braces at their ends. */

export function indent(lines: readonly string[], unit = "    "): string {
  let depth = 0;
  let text = "";
  for (const line of lines) {
    if (line.startsWith("}")) depth -= 1;
    text += line === "" ? "\n" : `${unit.repeat(depth)}${line}\n`;
    if (line.endsWith("{")) depth += 1;
  }
  return text;
}
