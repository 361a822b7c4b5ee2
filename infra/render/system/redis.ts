/** A Redis of the server's own, for what several gateways share: on loopback, with a password, beside any other Redis. */
import { helperFolder, type Machine, mebibyte, type SystemFile, systemFile } from "./machine.ts";
import { sandbox } from "./sandbox.ts";

const name = "openclaw-redis";
/** Filled in by systemd. */
const given = `\${CREDENTIALS_DIRECTORY}`;

export function renderRedis(machine: Machine): SystemFile[] {
  const { redis, paths } = machine;
  if (!redis) return [];
  const helper = `${helperFolder(machine)}/redis-password`;
  const program = [
    "#!/bin/sh",
    "# Redis takes a password by its configuration alone: this part of it lies in memory, and for Redis alone. Runs in its sandbox.",
    "set -eu",
    String.raw`sed -e 's/[\\"]/\\&/g; s/.*/requirepass "&"/' "$CREDENTIALS_DIRECTORY/$1" > "$RUNTIME_DIRECTORY/password.conf"`,
  ];
  const config = `${paths.etc}/redis.conf`;
  const megabytes = Math.floor(redis.maxMemoryBytes / mebibyte);
  const settings = [
    "# The password comes from a file of its own: see the unit.",
    "bind 127.0.0.1",
    `port ${redis.port}`,
    "protected-mode yes",
    "tcp-backlog 511",
    "supervised systemd",
    "daemonize no",
    'logfile ""',
    "databases 1",
    `dir /var/lib/${name}`,
    "# Budgets survive a restart; at most one second of counting is lost with the power.",
    "appendonly yes",
    "appendfsync everysec",
    'save ""',
    `maxmemory ${megabytes}mb`,
    "# Kept answers and windows of limits have an end, and go first; budgets have none.",
    "maxmemory-policy volatile-ttl",
  ];
  const unit = [
    "[Unit]",
    "Description=Redis of the OpenClaw gateways",
    "After=network.target",
    "StartLimitIntervalSec=600",
    "StartLimitBurst=60",
    "# Secrets come after the first boot.",
    `ConditionPathExists=${paths.etc}/secrets/${redis.passwordFile}`,
    "",
    "[Service]",
    "Type=notify",
    "# Both files are given to it: it may not read the folder that they lie in. The list of processes shows paths alone.",
    `ExecStartPre=/bin/sh ${helper} ${redis.passwordFile}`,
    `ExecStart=/usr/bin/redis-server ${given}/redis.conf --include /run/${name}/password.conf`,
    "Restart=always",
    "RestartSec=1",
    "TimeoutStopSec=60",
    "User=redis",
    "Group=redis",
    `LoadCredential=${redis.passwordFile}:${paths.etc}/secrets/${redis.passwordFile}`,
    `LoadCredential=redis.conf:${config}`,
    `SyslogIdentifier=${name}`,
    "LimitNOFILE=65536",
    "LimitCORE=0",
    "TasksMax=64",
    `MemoryMax=${(megabytes * 2 + 64) * mebibyte}`,
    "OOMScoreAdjust=-200",
    "",
    ...sandbox({ makesCode: false, stateDirectory: name, runtimeDirectory: name, network: "loopback" }),
    "",
    "[Install]",
    "WantedBy=multi-user.target",
  ];
  return [
    systemFile(config, settings),
    systemFile(helper, program, { mode: "0755", validate: 'sh -n "$FILE"' }),
    systemFile(`/etc/systemd/system/${name}.service`, unit, {
      reload: ["systemctl daemon-reload", `systemctl enable ${name}.service`, `systemctl restart ${name}.service`],
      remove: [`systemctl disable --now ${name}.service`],
    }),
  ];
}
