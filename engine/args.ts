/** Reads the command line: command, flags, arguments; refuses in a sentence what is unknown or needs the CLI. */
import { editDistance } from "./edit-distance.ts";
import { EngineError } from "./errors.ts";
import { aliases, type CommandSpec, cliCommands, commands, globalFlags, globalRefused } from "./flags.ts";

export interface Arguments {
  /** With its group: `up`, `stack ls`. */
  command: string;
  /** Arguments that are not flags. */
  rest: string[];
  has(flag: string): boolean;
  text(flag: string): string | undefined;
  list(flag: string): string[];
  /** A whole number of at least 1. */
  count(flag: string): number | undefined;
  /** `--flag`, `--flag=true`, `--flag=false`; undefined where it is not given. */
  truth(flag: string): boolean | undefined;
  /** The flags as given, without those that are the engine's own, for the CLI. */
  given: string[];
}

/** Something that only the CLI has. */
export class NeedsCliError extends EngineError {}

interface Flag {
  name: string;
  letter?: string;
  value: "none" | "needed" | "many" | "optional";
  refused: boolean;
}

function parseFlags(spec: string, refused: boolean): Flag[] {
  return spec
    .split(" ")
    .filter((word) => word !== "")
    .map((word) => {
      const [, name = "", letter, value] = /^([a-z-]+)(?:\|(\w))?(=[*?]?)?$/.exec(word) ?? [];
      const kind = value === undefined ? "none" : value === "=*" ? "many" : value === "=?" ? "optional" : "needed";
      return { name, letter, value: kind, refused };
    });
}

function suggestion(word: string, known: string[]): string {
  const ranked = known.map((name) => ({ name, changes: editDistance(word, name) })).sort((a, b) => a.changes - b.changes);
  const [best] = ranked;
  return best && best.changes <= Math.max(1, Math.min(3, Math.floor(word.length / 2))) ? best.name : "";
}

function commandsIn(group: string): string[] {
  return Object.keys(commands).filter((name) => name.startsWith(`${group} `));
}

const useCli = "run it with the Pulumi CLI, for example `npm run pulumi -- ";

function splitCommand(words: string[]): { command: string; consumed: number } {
  const [first = "", second = ""] = words;
  for (const [name, consumed] of [
    [`${first} ${second}`, 2],
    [first, 1],
  ] as const) {
    const command = aliases[name] ?? name;
    const group = consumed === 1 && second !== "" && commandsIn(first).length > 0;
    if (commands[command] && !group) return { command, consumed };
    if (cliCommands.includes(name)) {
      throw new NeedsCliError(`the embedded engine has no command \`${name}\`; ${useCli}${name}\``);
    }
  }
  const groups = commandsIn(first);
  if (groups.length > 0) {
    const meant = suggestion(
      second,
      groups.map((name) => name.slice(first.length + 1)),
    );
    const hint = meant
      ? `; did you mean \`${first} ${meant}\`?`
      : `; there are ${groups.map((name) => `\`${name}\``).join(", ")}`;
    throw new EngineError(
      second === "" ? `\`${first}\` needs a command${hint}` : `unknown command \`${first} ${second}\`${hint}`,
    );
  }
  const names = [
    ...new Set([...Object.keys(commands), ...Object.keys(aliases), ...cliCommands].map((name) => name.split(" ")[0] ?? "")),
  ];
  const meant = suggestion(first, names);
  throw new EngineError(
    `unknown command \`${first}\`${meant ? `; did you mean \`${meant}\`?` : "; `--help` lists the commands"}`,
  );
}

/** Words before flags can be told apart from values only by the table, so the command is found by going through them all. */
export function parseArguments(argv: string[]): Arguments | undefined {
  const { words, first } = commandWords(argv);
  if (words.length === 0) return undefined;
  if (words[0] === "pulumi") return passthrough(argv, first);
  const { command, consumed } = splitCommand(words);
  const spec = commands[command];
  return spec && readFlags(argv, command, spec, consumed);
}

function passthrough(argv: string[], at: number): Arguments {
  const rest = argv.slice(at + 1);
  const before = readFlags(argv.slice(0, at), "pulumi", { ...commandOf("pulumi"), arguments: [0, 0] }, 0);
  return { ...before, rest: rest[0] === "--" ? rest.slice(1) : rest };
}

function commandOf(name: string): CommandSpec {
  return commands[name] ?? { flags: "", arguments: [0, 0], usage: "", summary: "" };
}

/** The first two words that are neither flags nor values of flags, by all flags of all commands. */
function commandWords(argv: string[]): { words: string[]; first: number } {
  const every = [
    globalFlags,
    globalRefused,
    ...Object.values(commands).map((spec) => `${spec.flags} ${spec.refused ?? ""}`),
  ].join(" ");
  const takesValue = new Set<string>();
  for (const flag of parseFlags(every, false)) {
    if (flag.value !== "needed" && flag.value !== "many") continue;
    takesValue.add(`--${flag.name}`);
    if (flag.letter && "Cscm".includes(flag.letter)) takesValue.add(`-${flag.letter}`);
  }
  const words: string[] = [];
  let first = argv.length;
  for (let i = 0; i < argv.length && words.length < 2; i++) {
    const word = argv[i] ?? "";
    if (word === "--") break;
    if (!word.startsWith("-")) {
      first = Math.min(first, i);
      words.push(word);
    } else if (takesValue.has(word)) i++;
  }
  return { words, first };
}

function readFlags(argv: string[], command: string, spec: CommandSpec, consumed: number): Arguments {
  const flags = [
    ...parseFlags(`${spec.flags} ${globalFlags}`, false),
    ...parseFlags(`${spec.refused ?? ""} ${globalRefused}`, true),
  ];
  const values = new Map<string, string[]>();
  const rest: string[] = [];
  const given: string[] = [];

  function take(flag: Flag, attached: string | undefined, next: () => string | undefined, shownAs: string): void {
    if (flag.refused) {
      throw new NeedsCliError(`the embedded engine has no \`${shownAs}\`; ${useCli}${command} ${shownAs}\``);
    }
    let value = attached;
    if (value === undefined) value = flag.value === "none" || flag.value === "optional" ? "true" : next();
    if (value === undefined) throw new EngineError(`flag needs an argument: ${shownAs}`);
    if (flag.value === "none" && value !== "true" && value !== "false") {
      throw new EngineError(`invalid argument "${value}" for "${shownAs}": it takes no value, or true or false`);
    }
    values.set(flag.name, [...(values.get(flag.name) ?? []), value]);
    if (flag.name !== "engine")
      given.push(flag.value === "none" && value === "true" ? `--${flag.name}` : `--${flag.name}=${value}`);
  }

  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    const next = (): string | undefined => argv[++i];
    if (word === "--") {
      rest.push(...argv.slice(i + 1));
      break;
    }
    if (word.startsWith("--")) {
      const [, name = "", attached] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
      const flag = flags.find((candidate) => candidate.name === name);
      if (!flag) throw unknownFlag(`--${name}`, name, command, flags);
      take(flag, attached, next, `--${name}`);
    } else if (word.length > 1 && word.startsWith("-") && !/^-\d/.test(word)) {
      // Letters may stand together; the last one may have its value attached.
      for (let at = 1; at < word.length; at++) {
        const letter = word[at] ?? "";
        const flag = flags.find((candidate) => candidate.letter === letter);
        if (!flag) throw unknownFlag(`-${letter}`, letter, command, flags);
        const tail = word.slice(at + 1).replace(/^=/, "");
        const valued = flag.value === "needed" || flag.value === "many" || word[at + 1] === "=";
        take(flag, valued && tail !== "" ? tail : undefined, next, `-${letter}`);
        if (valued) break;
      }
    } else rest.push(word);
  }
  const [least, most] = spec.arguments;
  const others = rest.slice(consumed);
  if (!values.has("help") && (others.length < least || others.length > most)) throw wrongCount(command, spec, others);
  const last = (flag: string): string | undefined => values.get(flag)?.at(-1);
  return {
    command,
    rest: others,
    given,
    has: (flag) => last(flag) === "true",
    text: (flag) => last(flag),
    list: (flag) => values.get(flag) ?? [],
    count: (flag) => readCount(flag, last(flag)),
    truth: (flag) => readTruth(flag, last(flag)),
  };
}

function readCount(flag: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^\d+$/.test(value) || Number(value) < 1) {
    throw new EngineError(`invalid argument "${value}" for "--${flag}": it must be a whole number of at least 1`);
  }
  return Number(value);
}

function readTruth(flag: string, value: string | undefined): boolean | undefined {
  if (value === undefined) return undefined;
  if (/^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false)$/i.test(value)) return false;
  throw new EngineError(`unable to determine value for --${flag}: it takes true or false, not "${value}"`);
}

function unknownFlag(shownAs: string, name: string, command: string, flags: Flag[]): EngineError {
  const meant =
    name.length > 1
      ? suggestion(
          name,
          flags.filter((flag) => !flag.refused).map((flag) => flag.name),
        )
      : "";
  const hint = meant ? `; did you mean \`--${meant}\`?` : `; \`${command} --help\` lists them`;
  return new EngineError(`unknown flag: ${shownAs}${hint}`);
}

function wrongCount(command: string, spec: CommandSpec, others: string[]): EngineError {
  const usage = `usage: ${command}${spec.usage ? ` ${spec.usage}` : ""}`;
  const [least, most] = spec.arguments;
  if (others.length < least)
    return new EngineError(`\`${command}\` needs ${least === 1 ? "an argument" : `${least} arguments`}; ${usage}`);
  const extra = others.slice(most).map((word) => `"${word}"`);
  return new EngineError(`\`${command}\` does not take ${extra.join(" ")}; ${usage}`);
}
