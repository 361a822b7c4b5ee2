/** The second Ctrl-C: nobody is waited for any longer. */

/** How long it may take to end in good order after the second signal; whatever is left is killed with the engine. */
const terminationMs = 300;

/** Waits for what ends programs and providers, but not for ever where all is to end at once. */
export async function untilTerminated(closed: Promise<unknown>, terminate: AbortSignal): Promise<void> {
  const late = Promise.withResolvers<void>();
  let timer: NodeJS.Timeout | undefined;
  const start = () => {
    timer ??= setTimeout(late.resolve, terminationMs);
  };
  terminate.addEventListener("abort", start);
  if (terminate.aborted) start();
  await Promise.race([closed, late.promise]).finally(() => {
    clearTimeout(timer);
    terminate.removeEventListener("abort", start);
  });
}
