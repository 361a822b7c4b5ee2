// The config of a gateway with workers: the primary reads the files, all workers get what it read, and one result is reported.
import { ConfigError } from "../config/faults.ts";
import { type Loaded, loadConfig } from "../config/load.ts";
import type { ReadResult } from "../config/read.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../observability/log.ts";
import { configureLog, type GatewayOptions } from "./gateway.ts";
import { watchFiles } from "./watch-files.ts";
import type { Hub, Link } from "./worker-link.ts";
import { type ConfigChange, configCall, type ReloadReport, secretsCall } from "./worker-messages.ts";

export interface SharedConfig {
  /** The config in force. */
  current(): Loaded;
  /** What a worker that starts now begins with: the config in force, even where the file on disk is invalid by now. */
  beginWith(worker: number): ReadResult;
  /** A worker that is ready hears what changed since its start. */
  catchUp(worker: number): void;
  follow(): void;
  reload(): Promise<ReloadReport>;
  close(): void;
}

interface Deps {
  readonly log: Log;
  readonly hub: Hub;
  readyWorkers(): readonly number[];
}

/** Model servers that are slow to close must not make a reload fail. */
const answerMs = 10_000;

export function shareConfig(loaded: Loaded, options: GatewayOptions, { log, hub, readyWorkers }: Deps): SharedConfig {
  let good = loaded;
  let latest: ConfigChange = { kind: "read", read: loaded.read };
  const begun = new Map<number, ConfigChange | undefined>();
  let queue: Promise<unknown> = Promise.resolve();
  let load = (): Promise<Loaded> => loadConfig(options);
  let close = (): void => {};

  /** One after the other: the last one wins. */
  function serial<T>(task: () => Promise<T>): Promise<T> {
    const result = queue.then(task, task);
    queue = result.catch(() => undefined);
    return result;
  }

  async function ask<T>(worker: number, question: (to: Link) => Promise<T>): Promise<T[]> {
    const link = hub.links().get(worker);
    if (!link) return [];
    try {
      return [await question(link)];
    } catch (error) {
      // One that ended meanwhile is replaced by one that begins with the newest config.
      log.of("config").warn("worker_not_told", `worker ${worker} did not take the change: ${messageOf(error)}`);
      return [];
    }
  }
  const askAll = async <T>(question: (to: Link) => Promise<T>): Promise<T[]> =>
    (await Promise.all(readyWorkers().map((worker) => ask(worker, question)))).flat();
  const tellSecrets = () => askAll((to) => to.call(secretsCall, {}, answerMs));

  async function read(): Promise<ReloadReport | undefined> {
    try {
      good = await load();
      configureLog(log, good);
      latest = { kind: "read", read: good.read };
      return undefined;
    } catch (error) {
      if (error instanceof ConfigError) latest = { kind: "refused", path: loaded.path, faults: error.faults, hash: error.hash };
      else log.of("config").error("config_reload_failed", messageOf(error));
      return { result: "invalid", message: good.secrets.redact(messageOf(error)), restartNeededFor: [] };
    }
  }

  const reload = (): Promise<ReloadReport> =>
    serial(async () => {
      const refused = await read();
      await tellSecrets();
      const reports = await askAll((to) => to.call(configCall, latest, answerMs));
      return refused ?? worstOf(reports);
    });

  return {
    current: () => good,
    beginWith(worker) {
      begun.set(worker, latest.kind === "read" ? latest : undefined);
      return good.read;
    },
    catchUp(worker) {
      if (begun.get(worker) !== latest) void serial(() => ask(worker, (to) => to.call(configCall, latest, answerMs)));
    },
    follow() {
      const watcher = watchFiles(loaded, {
        log,
        load: () => loadConfig(options),
        onConfig: () => void reload(),
        onSecrets: () => void serial(tellSecrets),
      });
      ({ load, close } = watcher);
    },
    reload,
    close: () => close(),
  };
}

const order = ["invalid", "restart-needed", "applied", "unchanged"] as const;

/** One answer for all: the worst result, and every setting that waits for a restart. */
function worstOf(reports: readonly ReloadReport[]): ReloadReport {
  const worst = order.flatMap((result) => reports.find((report) => report.result === result) ?? [])[0];
  const restartNeededFor = [...new Set(reports.flatMap((report) => report.restartNeededFor))];
  return { ...(worst ?? { result: "unchanged" }), restartNeededFor };
}
