/** Cuts a stream of bytes into lines, each given out once it is whole. */
import { StringDecoder } from "node:string_decoder";

export interface LineReader {
  add(chunk: Buffer): void;
  /** Gives out what came after the last line end. */
  end(): void;
}

export function lineReader(give: (line: string) => void): LineReader {
  const decoder = new StringDecoder("utf8");
  // Parts of a line that has not ended: a long one is put together once, not with every chunk.
  let parts: string[] = [];
  return {
    add(chunk) {
      const [first = "", ...others] = decoder.write(chunk).split("\n");
      parts.push(first);
      for (const next of others) {
        const line = parts.join("");
        give(line.endsWith("\r") ? line.slice(0, -1) : line);
        parts = [next];
      }
    },
    end() {
      const rest = parts.join("") + decoder.end();
      parts = [];
      if (rest !== "") give(rest);
    },
  };
}
