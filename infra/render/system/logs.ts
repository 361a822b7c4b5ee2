/** Bounds of the logs: the journal, and the proxy's access log. */
import { type Machine, type SystemFile, systemFile } from "./machine.ts";

export function renderLogLimits(machine: Machine): SystemFile[] {
  const journal = [
    "[Journal]",
    "# Kept over a restart of the server, and bounded.",
    "Storage=persistent",
    "SystemMaxUse=1G",
    "SystemKeepFree=1G",
    "SystemMaxFileSize=128M",
    "RuntimeMaxUse=128M",
    "MaxRetentionSec=90day",
    "Compress=yes",
  ];
  const restart = ["systemctl restart systemd-journald.service"];
  return [
    systemFile("/etc/systemd/journald.conf.d/60-openclaw.conf", journal, { reload: restart, remove: [] }),
    ...accessLogRotation(machine),
  ];
}

/** Under /etc/openclaw and with a timer of its own: the system's logrotate looks once a day, and a busy day fills a disk. */
function accessLogRotation({ proxy, paths }: Machine): SystemFile[] {
  // Caddy rotates its own; what lies in nginx's folder is rotated by nginx's package.
  if (proxy.kind !== "nginx" || !proxy.accessLog || proxy.accessLog.startsWith("/var/log/nginx/")) return [];
  const config = `${paths.etc}/logrotate.conf`;
  const rules = [
    `${proxy.accessLog} {`,
    "    daily",
    "    maxsize 50M",
    "    rotate 10",
    "    maxage 90",
    "    missingok",
    "    notifempty",
    "    compress",
    "    delaycompress",
    "    create 0640 www-data adm",
    "    sharedscripts",
    "    postrotate",
    '        [ ! -s /run/nginx.pid ] || kill -USR1 "$(cat /run/nginx.pid)"',
    "    endscript",
    "}",
  ];
  const service = [
    "[Unit]",
    "Description=Rotation of the OpenClaw proxy's access log",
    "",
    "[Service]",
    "Type=oneshot",
    `ExecStart=/usr/sbin/logrotate --state /var/lib/logrotate/openclaw.status ${config}`,
    "Nice=19",
    "IOSchedulingClass=idle",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "ProtectSystem=full",
  ];
  const timer = [
    "[Unit]",
    "Description=Hourly look at the OpenClaw proxy's access log",
    "",
    "[Timer]",
    "OnCalendar=hourly",
    "RandomizedDelaySec=5min",
    "Persistent=yes",
    "",
    "[Install]",
    "WantedBy=timers.target",
  ];
  const name = "openclaw-logrotate";
  return [
    systemFile(config, rules, { validate: 'logrotate -d --state /dev/null "$FILE"' }),
    systemFile(`/etc/systemd/system/${name}.service`, service, { reload: ["systemctl daemon-reload"] }),
    systemFile(`/etc/systemd/system/${name}.timer`, timer, {
      reload: ["systemctl daemon-reload", `systemctl enable --now ${name}.timer`],
      remove: [`systemctl disable --now ${name}.timer`],
    }),
  ];
}
