// Answers in the memory of this process, bounded by bytes and by number: what was unused for longest goes first.
import type { Counter, Gauge } from "../../observability/registry.ts";
import type { Answer, AnswerStore } from "./answers.ts";

interface Figures {
  readonly bytes: Pick<Gauge, "set">;
  readonly entries: Pick<Gauge, "set">;
  readonly evictions: Pick<Counter, "add">;
}

/** What an entry takes beside its body: key, object, place in the map. */
const entryBytes = 512;

/** `label` tells the stores apart in the figures; `now` gives milliseconds since 1970. */
export function createMemoryAnswers(label: string, figures: Figures, now: () => number = Date.now): AnswerStore {
  /** In the order of their last use. */
  const entries = new Map<string, Answer>();
  let bytes = 0;

  function remove(key: string, answer: Answer): void {
    entries.delete(key);
    bytes -= sizeOf(answer);
  }
  function show(): void {
    figures.bytes.set(bytes, label);
    figures.entries.set(entries.size, label);
  }

  return {
    get(key, { ttlSeconds }) {
      const answer = entries.get(key);
      if (!answer) return undefined;
      if (now() - answer.storedAt >= ttlSeconds * 1000) {
        remove(key, answer);
        figures.evictions.add(1, label, "expired");
        show();
        return undefined;
      }
      entries.delete(key);
      entries.set(key, answer);
      return answer;
    },
    set(key, answer, { maxBytes, maxEntries }) {
      const old = entries.get(key);
      if (old) remove(key, old);
      if (sizeOf(answer) <= maxBytes) {
        entries.set(key, answer);
        bytes += sizeOf(answer);
      }
      for (const [oldest, entry] of entries) {
        if (bytes <= maxBytes && entries.size <= maxEntries) break;
        remove(oldest, entry);
        figures.evictions.add(1, label, "full");
      }
      show();
    },
    clear() {
      if (entries.size === 0) return;
      entries.clear();
      bytes = 0;
      show();
    },
  };
}

const sizeOf = ({ body }: Answer): number => body.length + entryBytes;
