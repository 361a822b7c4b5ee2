/** Ctrl-C once: what runs may finish. Twice: all ends at once. */

export interface Interrupts {
  stop: AbortSignal;
  terminate: AbortSignal;
  /** Signals end the process again as they would without this. */
  close(): void;
}

const consequences = "Note that terminating immediately may lead to orphaned resources and other inconsistencies.\n";
const texts: { [signal: string]: string } = {
  SIGINT: `^C received; cancelling. If you would like to terminate immediately, press ^C again.\n${consequences}`,
  SIGTERM: `SIGTERM received; cancelling. If you would like to terminate immediately, send SIGTERM again.\n${consequences}`,
  SIGHUP: "The terminal was closed; cancelling.\n",
};

export function listenForInterrupts(notice: (text: string) => void): Interrupts {
  const stop = new AbortController();
  const terminate = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) {
      terminate.abort();
      return;
    }
    notice(texts[signal] ?? "");
    stop.abort();
  };
  const signals: NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, onSignal);
  return {
    stop: stop.signal,
    terminate: terminate.signal,
    close: () => {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}
