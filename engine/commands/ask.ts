/** Questions on a terminal: a line that is shown, and one that is not. */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";

function question(prompt: string, hidden: boolean): Promise<string> {
  process.stderr.write(prompt);
  // readline echoes to its output: what is hidden goes nowhere.
  const output = hidden ? new Writable({ write: (_chunk, _encoding, done) => done() }) : process.stderr;
  const lines = createInterface({ input: process.stdin, output, terminal: true });
  return new Promise((resolve) => {
    let answer = "";
    lines.on("line", (line) => {
      answer = line;
      lines.close();
    });
    lines.on("SIGINT", () => {
      process.stderr.write("\n");
      process.exit(130);
    });
    lines.on("close", () => {
      if (hidden) process.stderr.write("\n");
      process.stdin.pause();
      resolve(answer);
    });
  });
}

export const ask = (prompt: string): Promise<string> => question(prompt, false);
export const askHidden = (prompt: string): Promise<string> => question(prompt, true);

/** All of standard input. */
export async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}
