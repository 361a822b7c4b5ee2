// Follows the files that a config is made of: a changed secret file alone changes no setting.
import type { Loaded } from "../config/load.ts";
import { createWatcher } from "../config/watch.ts";
import type { Log } from "../observability/log.ts";

export interface FileWatch {
  /** Reads the config, and follows the files of what was read from then on. */
  load(): Promise<Loaded>;
  close(): void;
}

interface Options {
  readonly log: Log;
  readonly load: () => Promise<Loaded>;
  readonly onConfig: () => void;
  readonly onSecrets: () => void;
}

/** `gateway.reload.mode` off: nothing is followed. */
export function watchFiles(loaded: Loaded, { log, load, onConfig, onSecrets }: Options): FileWatch {
  const { mode, debounceMs } = loaded.config.gateway.reload;
  if (mode === "off") return { load, close() {} };
  const onProblem = (message: string): void => log.of("config").warn("watch_failed", message);
  const configWatcher = createWatcher({ debounceMs, onProblem, onChange: onConfig });
  const secretWatcher = createWatcher({ debounceMs, onProblem, onChange: onSecrets });
  const follow = (now: Loaded): void => {
    configWatcher.follow(now.files);
    secretWatcher.follow([...now.secrets.files(), ...(now.tls?.files ?? [])]);
  };
  follow(loaded);
  return {
    async load() {
      const next = await load();
      follow(next);
      return next;
    },
    close() {
      configWatcher.close();
      secretWatcher.close();
    },
  };
}
