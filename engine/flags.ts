/**
 * Which commands and flags there are: the CLI's own, with those that the embedded engine has and those that only the CLI
 * has. A flag is written `name`, `name|n` with its letter, `name=` with a value, `name=*` given many times, `name=?` with
 * a value that may be left out.
 */

export interface CommandSpec {
  flags: string;
  /** Flags of the CLI that need the CLI. */
  refused?: string;
  /** How many other arguments it takes. */
  arguments: [least: number, most: number];
  /** After the name, in the usage line. */
  usage: string;
  summary: string;
  /** Everything that follows is passed on as it is. */
  passthrough?: true;
}

export const globalFlags = "cwd|C= non-interactive color= stack|s= engine= help|h emoji|e fully-qualify-stack-names|Q";
export const globalRefused =
  "disable-integrity-checking logflow logtostderr tracing= otel-traces= profiling= memprofilerate= verbose|v= tracing-header=";

const shown =
  "diff json|j debug|d message|m= parallel|p= config-file= show-config show-replacement-steps show-sames show-secrets suppress-outputs suppress-progress show-full-output suppress-permalink=? skip-plugin-pre-install";
const cloud =
  "config|c=* config-path client= exclude|x=* exclude-dependents policy-pack=* policy-pack-config=* show-policy-remediations urns run-program skip-config-validation output= attach-debugger=* plan= neo neo-task-on-failure copilot event-log= exec-kind= exec-agent= remote remote-env=* ignore-protect";

export const commands: { [name: string]: CommandSpec } = {
  preview: {
    flags: `${shown} expect-no-changes refresh|r=? target|t=* target-dependents replace=* show-reads`,
    refused: `${cloud} target-replace=* save-plan= import-file=`,
    arguments: [0, 0],
    usage: "",
    summary: "Show what an update would change",
  },
  up: {
    flags: `${shown} yes|y skip-preview|f expect-no-changes refresh|r=? target|t=* target-dependents replace=* continue-on-error show-reads`,
    refused: `${cloud} target-replace=* secrets-provider= strict`,
    arguments: [0, 0],
    usage: "",
    summary: "Create or update the resources of a stack",
  },
  refresh: {
    flags: `${shown} yes|y skip-preview|f preview-only expect-no-changes target|t=* target-dependents`,
    refused: `${cloud} skip-pending-creates clear-pending-creates import-pending-creates=*`,
    arguments: [0, 0],
    usage: "",
    summary: "Take over into the state what the resources have become",
  },
  destroy: {
    flags: `${shown} yes|y skip-preview|f preview-only refresh|r=? target|t=* target-dependents continue-on-error`,
    refused: `${cloud} remove exclude-protected`,
    arguments: [0, 0],
    usage: "",
    summary: "Delete all resources of a stack",
  },
  stack: {
    flags: "show-name show-secrets show-urns|u show-ids|i",
    arguments: [0, 0],
    usage: "",
    summary: "Show a stack: resources and outputs",
  },
  "stack init": {
    flags: "no-select secrets-provider=",
    refused: "teams=* remote-config yes|y copy-config-from=",
    arguments: [0, 1],
    usage: "[NAME]",
    summary: "Create a stack",
  },
  "stack ls": {
    flags: "json|j all|a project|p=",
    refused: "organization|o= tag|t=",
    arguments: [0, 0],
    usage: "",
    summary: "List the stacks",
  },
  "stack select": {
    flags: "create|c secrets-provider=",
    arguments: [0, 1],
    usage: "[NAME]",
    summary: "Choose the stack that commands work on",
  },
  "stack unselect": { flags: "", arguments: [0, 0], usage: "", summary: "Choose no stack" },
  "stack rm": {
    flags: "force|f yes|y preserve-config remove-backups",
    arguments: [0, 1],
    usage: "[NAME]",
    summary: "Remove a stack that has no resources",
  },
  "stack history": {
    flags: "json|j show-secrets full-dates page-size= page=",
    arguments: [0, 0],
    usage: "",
    summary: "Show the updates of a stack",
  },
  "stack output": {
    flags: "json|j show-secrets shell",
    arguments: [0, 1],
    usage: "[NAME]",
    summary: "Show the outputs of a stack",
  },
  "stack export": {
    flags: "file= show-secrets",
    refused: "version=",
    arguments: [0, 0],
    usage: "",
    summary: "Write the state of a stack as JSON",
  },
  "stack import": {
    flags: "file= force|f",
    arguments: [0, 0],
    usage: "",
    summary: "Replace the state of a stack by exported JSON",
  },
  config: {
    flags: "json|j show-secrets config-file=",
    refused: "open",
    arguments: [0, 0],
    usage: "",
    summary: "List the settings of a stack",
  },
  "config set": {
    flags: "path secret plaintext raw type= config-file=",
    arguments: [1, 2],
    usage: "KEY [VALUE]",
    summary: "Set a setting; without a value it is read from standard input",
  },
  "config get": {
    flags: "path json|j config-file=",
    refused: "open",
    arguments: [1, 1],
    usage: "KEY",
    summary: "Show a setting",
  },
  "config rm": { flags: "path config-file=", arguments: [1, 1], usage: "KEY", summary: "Remove a setting" },
  cancel: { flags: "yes|y", arguments: [0, 1], usage: "[STACK]", summary: "Remove the locks of a stack" },
  "state unprotect": {
    flags: "all yes|y",
    arguments: [0, Number.POSITIVE_INFINITY],
    usage: "[URN...]",
    summary: "Take the protection off resources",
  },
  "state delete": {
    flags: "all force yes|y target-dependents",
    arguments: [0, Number.POSITIVE_INFINITY],
    usage: "[URN...]",
    summary: "Forget a resource without deleting it",
  },
  pulumi: {
    flags: "",
    arguments: [0, Number.POSITIVE_INFINITY],
    usage: "-- ARGUMENTS",
    summary: "Run the Pulumi CLI with this project's backend and passphrase",
    passthrough: true,
  },
};

export const aliases: { [name: string]: string } = {
  update: "up",
  pre: "preview",
  down: "destroy",
  dn: "destroy",
  "stack new": "stack init",
  "stack create": "stack init",
  "stack list": "stack ls",
  "stack remove": "stack rm",
  "stack delete": "stack rm",
  "stack hist": "stack history",
  history: "stack history",
  "config ls": "config",
  "config list": "config",
  "config remove": "config rm",
  "config delete": "config rm",
  "state remove": "state delete",
};

/** Commands of the CLI that only the CLI has. */
export const cliCommands = [
  ..."about ai api completion console convert convert-trace deployment do env events gen-completion gen-markdown import insights".split(
    " ",
  ),
  ..."install login logout logs neo new org package plugin policy project query replay-events schema template trace version".split(
    " ",
  ),
  ..."view-trace watch whoami".split(" "),
  ...["change-secrets-provider", "drift", "get", "graph", "migrate", "rename", "schedule", "tag", "webhook"].map(
    (name) => `stack ${name}`,
  ),
  ...["cp", "copy", "env", "edit", "refresh", "rm-all", "remove-all", "set-all"].map((name) => `config ${name}`),
  ...["edit", "get", "move", "protect", "rename", "repair", "taint", "untaint", "upgrade"].map((name) => `state ${name}`),
];
