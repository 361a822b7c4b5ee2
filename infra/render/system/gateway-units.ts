/**
 * The gateway as services of systemd. One socket unit holds the listening socket, and two services can accept on it:
 * `openclaw-gateway.service`, the one that users know and that is always there, and `openclaw-gateway-next.service`, which
 * stands in for it while it is replaced (see replace-gateway.ts). So an update is: the stand-in starts from the new release
 * and is ready, the old gateway stops accepting and drains, comes back from the new release, and the stand-in drains.
 * Why not otherwise:
 * - Two ports behind the proxy: a connection that waits in the queue of a socket that closes is reset, and the proxy may
 *   not repeat a POST. Here the queue belongs to systemd and outlives every gateway, crashes and restarts by hand as well.
 * - One service with a supervisor in it: what LoadCredential brings is read when a service starts, so a new token would need
 *   a restart of all. A second service has credentials of its own.
 * - Instances of a template (blue, green): no name stays the same for `systemctl restart` and `journalctl -u`.
 * Both services give the state directory on to each other by its lock: there is one writer at any time.
 */
import { gatewayService, gatewaySocket, standInService } from "./gateway-names.ts";
import { gatewayLimits } from "./limits.ts";
import { type Machine, type SystemFile, systemFile } from "./machine.ts";
import { closeSocketPath, restartDelayPath } from "./restart-delay.ts";
import { hardening } from "./sandbox.ts";

const units = "/etc/systemd/system";
/** The exit code for a config that cannot be used: trying again does not mend it. */
const configExitCode = 78;
/** After the drain's own times: for the last words of what was cut, and the end of the processes. */
const endSeconds = 10;
/** The pause after a crash must fit in. */
const leastStopSeconds = 40;
export function renderGatewayUnits(machine: Machine): SystemFile[] {
  return [socketUnit(machine), serviceUnit(machine, "current"), serviceUnit(machine, "next")];
}

function socketUnit({ gateway, paths }: Machine): SystemFile {
  const host = gateway.host.includes(":") ? `[${gateway.host}]` : gateway.host;
  const lines = [
    "[Unit]",
    "Description=Where the OpenClaw gateway is reached",
    ...once(paths, "current"),
    "",
    "[Socket]",
    `ListenStream=${host}:${gateway.port}`,
    "# The kernel may allow fewer: net.core.somaxconn.",
    "Backlog=4096",
    "NoDelay=yes",
    `Service=${gatewayService}`,
    "",
    "[Install]",
    "WantedBy=sockets.target",
  ];
  return systemFile(`${units}/${gatewaySocket}`, lines, {
    reload: ["systemctl daemon-reload", `systemctl enable ${gatewaySocket}`],
    remove: [`systemctl disable --now ${gatewaySocket}`],
  });
}

function serviceUnit(machine: Machine, link: "current" | "next"): SystemFile {
  const name = link === "current" ? gatewayService : standInService;
  const after = [
    "network-online.target",
    "nss-lookup.target",
    gatewaySocket,
    ...(machine.redis ? ["openclaw-redis.service"] : []),
  ];
  const lines = [
    "[Unit]",
    link === "current" ? "Description=OpenClaw gateway" : "Description=OpenClaw gateway, standing in while it is replaced",
    `After=${after.join(" ")}`,
    "Wants=network-online.target",
    machine.redis ? "Wants=openclaw-redis.service" : undefined,
    `Requires=${gatewaySocket}`,
    link === "current" ? [...once(machine.paths, "current")] : once(machine.paths, "next"),
    "# Given up after about a quarter of an hour of crashes; then requests are refused at once.",
    "StartLimitIntervalSec=1800",
    "StartLimitBurst=40",
    "",
    "[Service]",
    "# Both accept on the same socket.",
    `Sockets=${gatewaySocket}`,
    ...start(machine, link),
    ...stop(machine),
    ...restarts(machine, link),
    "",
    `User=${machine.user}`,
    `Group=${machine.user}`,
    ...environment(machine),
    ...machine.gateway.secrets.map((secret) => `LoadCredential=${secret}:${machine.paths.etc}/secrets/${secret}`),
    "SyslogIdentifier=openclaw-gateway",
    "# What an investigation needs are the lines of a burst.",
    "LogRateLimitIntervalSec=0",
    "",
    ...limits(machine),
    "",
    ...hardening(machine),
    ...(link === "current" ? ["", "[Install]", "WantedBy=multi-user.target"] : []),
  ];
  const enable = link === "current" ? [`systemctl enable ${name}`] : [];
  return systemFile(`${units}/${name}`, lines, {
    reload: ["systemctl daemon-reload", ...enable],
    remove: [link === "current" ? `systemctl disable --now ${name}` : `systemctl stop ${name}`],
  });
}

/** A server that was just made has no release yet; the stand-in has one only while an update is under way. */
const once = ({ opt }: Machine["paths"], link: string): string[] => [
  "# Only with a release.",
  `ConditionPathExists=${opt}/${link}`,
];

function start(machine: Machine, link: "current" | "next"): string[] {
  const { gateway, paths } = machine;
  return [
    "# It says when it is ready and, by systemd-notify, that its event loop turns.",
    "Type=notify",
    "NotifyAccess=all",
    "WatchdogSec=60",
    `ExecStart=${paths.opt}/${link}/${gateway.command}`,
    "# It follows its files by itself; this makes it look at once.",
    `ExecReload=+/usr/bin/touch -c ${paths.etc}/openclaw.json`,
    "TimeoutStartSec=60",
  ];
}

function stop({ gateway }: Machine): string[] {
  const { delayMs, timeoutMs } = gateway.drain;
  return [
    "# The first process tells its workers; what is left in the end is killed.",
    "KillMode=mixed",
    "KillSignal=SIGTERM",
    `TimeoutStopSec=${Math.max(leastStopSeconds, Math.ceil((delayMs + timeoutMs) / 1000) + endSeconds)}`,
  ];
}

function restarts(machine: Machine, link: "current" | "next"): string[] {
  const close = `ExecStopPost=-+/bin/sh ${closeSocketPath(machine)}`;
  return [
    "Restart=always",
    "RestartSec=500ms",
    "# Longer after each crash, up to half a minute.",
    `ExecStopPost=-/bin/sh ${restartDelayPath(machine)} ${link}`,
    ...(link === "current" ? ["# Who stops it does not want that the next request starts it again.", close] : []),
    `RestartPreventExitStatus=${configExitCode}`,
    "# One worker that needs too much memory is replaced by the first process; the others go on.",
    "OOMPolicy=continue",
  ];
}

function environment(machine: Machine): string[] {
  const { gateway, paths } = machine;
  const values = {
    NODE_ENV: "production",
    OPENCLAW_CONFIG_PATH: `${paths.etc}/openclaw.json`,
    OPENCLAW_STATE_DIR: paths.state,
    NODE_OPTIONS: `--max-old-space-size=${gatewayLimits(machine).heapMegabytes}`,
    UV_THREADPOOL_SIZE: "16",
    ...gateway.environment,
  };
  return Object.entries(values).map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}`);
}

function limits(machine: Machine): string[] {
  const { memoryBytes, memoryHighBytes } = gatewayLimits(machine);
  return [
    "# From the server's size.",
    `MemoryHigh=${memoryHighBytes}`,
    `MemoryMax=${memoryBytes}`,
    "TasksMax=4096",
    "CPUWeight=200",
    "IOWeight=200",
    "LimitNOFILE=65536",
    "LimitNPROC=4096",
    "# A dump of its memory would hold keys.",
    "LimitCORE=0",
  ];
}

/** Quoted for systemd: systemd.service(5), `%` is doubled. */
const quoted = (text: string): string => `"${text.replace(/[\\"]/g, "\\$&").replaceAll("%", "%%")}"`;
