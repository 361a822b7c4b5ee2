/** `--help`: the commands, or the flags of one. */
import { commands, globalFlags } from "./flags.ts";

function flagLines(spec: string): string {
  return spec
    .split(" ")
    .filter((word) => word !== "")
    .map((word) => {
      const [, name = "", letter, value = ""] = /^([a-z-]+)(?:\|(\w))?(=[*?]?)?$/.exec(word) ?? [];
      const argument = value === "" ? "" : value === "=?" ? "[=VALUE]" : " VALUE";
      return `  ${letter ? `-${letter}, ` : "    "}--${name}${argument}${value === "=*" ? "   (may be given many times)" : ""}\n`;
    })
    .join("");
}

export function usageText(command?: string): string {
  const spec = command === undefined ? undefined : commands[command];
  if (command !== undefined && spec) {
    const flags = spec.flags === "" ? "" : `\nFlags:\n${flagLines(spec.flags)}`;
    return `${spec.summary}.\n\nUsage: ${command} ${spec.usage}\n${flags}\nFor every command:\n${flagLines(globalFlags)}`;
  }
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}\n`);
  return `Usage: COMMAND [FLAGS]\n\n${lines.join("")}\nEach command has --help. Everything else that the Pulumi CLI has needs the CLI: npm run pulumi -- COMMAND.\n`;
}
