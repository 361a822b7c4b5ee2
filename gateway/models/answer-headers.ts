// The headers of one answer, as the layers that a call goes through add to them.
import { isHeaderValue } from "./http1/header-text.ts";

/** Most answers have few: what is not there takes no room. */
const none: string[] = [];

/**
 * Names in lower case, each once. Lists and not an object: such objects are slow to grow and to read. What is always the same, or
 * made of numbers, is added as lines.
 */
export class AnswerHeaders {
  names: string[] = none;
  values: string[] = none;
  /** As they are sent, each with its end; their values were looked at, or cannot hold what a header must not. */
  lines = "";
  /** The same, of the upstream that answers: the last one counts. */
  answering = "";

  /** The last value counts. */
  set(name: string, value: string): void {
    const { names, values } = this;
    const at = names.indexOf(name);
    if (at !== -1) values[at] = value;
    else if (names.length === 0) {
      this.names = [name];
      this.values = [value];
    } else {
      names.push(name);
      values.push(value);
    }
  }

  /** Of those that were set. */
  get(name: string): string | undefined {
    const at = this.names.indexOf(name);
    return at === -1 ? undefined : this.values[at];
  }

  /** Adds what another one has. */
  assign(others: AnswerHeaders): void {
    for (let at = 0; at < others.names.length; at += 1) this.set(others.names[at] ?? "", others.values[at] ?? "");
    this.lines += others.lines;
    if (others.answering !== "") this.answering = others.answering;
  }

  static of(entries: Readonly<Record<string, string>>): AnswerHeaders {
    const made = new AnswerHeaders();
    for (const [name, value] of Object.entries(entries)) made.set(name, value);
    return made;
  }

  toObject(): Record<string, string> {
    const all: Record<string, string> = {};
    for (const line of `${this.lines}${this.answering}`.split("\r\n")) {
      const colon = line.indexOf(": ");
      if (colon > 0) all[line.slice(0, colon)] = line.slice(colon + 2);
    }
    for (const [at, name] of this.names.entries()) all[name] = this.values[at] ?? "";
    return all;
  }
}

/** A line of its own, for a value that was not made here. Throws where it holds what could end a header early. */
export function headerLine(name: string, value: string): string {
  if (!isHeaderValue(value)) throw new TypeError(`the header ${name} has a character that no header can have`);
  return `${name}: ${value}\r\n`;
}
