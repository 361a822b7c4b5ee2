// The headers of one answer, as the layers that a call goes through add to them.

/** Names in lower case, each once; kept in their order. Lists and not an object: such objects are slow to grow and to read. */
export class AnswerHeaders {
  readonly names: string[] = [];
  readonly values: string[] = [];

  /** The last value counts. */
  set(name: string, value: string): void {
    const { names, values } = this;
    const at = names.indexOf(name);
    if (at === -1) {
      names.push(name);
      values.push(value);
    } else values[at] = value;
  }

  /** For a name that is not among them yet. */
  add(name: string, value: string): void {
    this.names.push(name);
    this.values.push(value);
  }

  get(name: string): string | undefined {
    const at = this.names.indexOf(name);
    return at === -1 ? undefined : this.values[at];
  }

  assign(others: AnswerHeaders): void {
    for (let at = 0; at < others.names.length; at += 1) this.set(others.names[at] ?? "", others.values[at] ?? "");
  }

  static of(entries: Readonly<Record<string, string>>): AnswerHeaders {
    const made = new AnswerHeaders();
    for (const [name, value] of Object.entries(entries)) made.add(name, value);
    return made;
  }

  toObject(): Record<string, string> {
    return Object.fromEntries(this.names.map((name, at) => [name, this.values[at] ?? ""]));
  }
}
