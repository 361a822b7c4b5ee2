/** The commands that read or change stacks, settings and state without a deployment. Each file is loaded when it is asked for. */
import type { Arguments } from "../args.ts";
import type { CommandContext } from "./context.ts";

type Run = (context: CommandContext, args: Arguments) => Promise<void>;

const runs: { [command: string]: Run } = {
  stack: async (context, args) => {
    const { stackShow } = await import("./stack-show.ts");
    const options = { showUrns: args.has("show-urns"), showIds: args.has("show-ids"), showName: args.has("show-name") };
    await stackShow(context, { ...options, showSecrets: args.has("show-secrets") });
  },
  "stack init": async (context, args) => {
    const { stackInit } = await import("./stack.ts");
    const options = { noSelect: args.has("no-select"), secretsProvider: args.text("secrets-provider") };
    await stackInit(context, {
      ...options,
      name: args.rest[0] ?? context.stack,
    });
  },
  "stack ls": async (context, args) => {
    const { stackList } = await import("./stack.ts");
    await stackList(context, { json: args.has("json"), all: args.has("all"), project: args.text("project") });
  },
  "stack select": async (context, args) => {
    const { stackSelect } = await import("./stack.ts");
    const options = { create: args.has("create"), secretsProvider: args.text("secrets-provider") };
    await stackSelect(context, { ...options, name: args.rest[0] ?? context.stack });
  },
  "stack unselect": async (context) => {
    const { stackUnselect } = await import("./stack.ts");
    await stackUnselect(context);
  },
  "stack rm": async (context, args) => {
    const { stackRemove } = await import("./stack.ts");
    const options = { yes: args.has("yes"), force: args.has("force"), preserveConfig: args.has("preserve-config") };
    await stackRemove(context, { ...options, name: args.rest[0] ?? context.stack, removeBackups: args.has("remove-backups") });
  },
  "stack history": async (context, args) => {
    const { stackHistory } = await import("./stack-show.ts");
    const options = { json: args.has("json"), showSecrets: args.has("show-secrets"), fullDates: args.has("full-dates") };
    await stackHistory(context, { ...options, pageSize: args.count("page-size"), page: args.count("page") });
  },
  "stack output": async (context, args) => {
    const { stackOutput } = await import("./stack-show.ts");
    const options = { json: args.has("json"), shell: args.has("shell"), showSecrets: args.has("show-secrets") };
    await stackOutput(context, { ...options, property: args.rest[0] });
  },
  "stack export": async (context, args) => {
    const { stackExport } = await import("./stack-transfer.ts");
    await stackExport(context, { file: args.text("file"), showSecrets: args.has("show-secrets") });
  },
  "stack import": async (context, args) => {
    const { stackImport } = await import("./stack-transfer.ts");
    await stackImport(context, { file: args.text("file"), force: args.has("force") });
  },
  config: async (context, args) => {
    const { configList } = await import("./config.ts");
    await configList(context, { json: args.has("json"), showSecrets: args.has("show-secrets") });
  },
  "config get": async (context, args) => {
    const { configGet } = await import("./config.ts");
    await configGet(context, args.rest[0] ?? "", { json: args.has("json"), path: args.has("path") });
  },
  "config set": async (context, args) => {
    const { configSet } = await import("./config.ts");
    const options = {
      secret: args.has("secret"),
      plaintext: args.has("plaintext"),
      path: args.has("path"),
      type: args.text("type"),
    };
    await configSet(context, args.rest[0] ?? "", args.rest[1], options);
  },
  "config rm": async (context, args) => {
    const { configRemove } = await import("./config.ts");
    await configRemove(context, args.rest[0] ?? "", { path: args.has("path") });
  },
  cancel: async (context, args) => {
    const { cancelUpdate } = await import("./cancel.ts");
    await cancelUpdate(context, { name: args.rest[0], yes: args.has("yes") });
  },
  "state unprotect": async (context, args) => {
    const { stateUnprotect } = await import("./state.ts");
    await stateUnprotect(context, args.rest, { all: args.has("all"), yes: args.has("yes") });
  },
  "state delete": async (context, args) => {
    const { stateDelete } = await import("./state.ts");
    const options = { force: args.has("force"), targetDependents: args.has("target-dependents") };
    await stateDelete(context, args.rest, { ...options, all: args.has("all"), yes: args.has("yes") });
  },
};

/** Returns the exit code; what goes wrong is thrown. */
export async function dispatchOther(args: Arguments, context: CommandContext): Promise<number> {
  await runs[args.command]?.(context, args);
  return 0;
}
