/** The proxy reads its files again by itself when its configuration or a certificate changes. */
import { type Machine, type SystemFile, systemFile } from "./machine.ts";

const name = "openclaw-proxy-reload";

export function renderProxyReload({ proxy }: Machine): SystemFile[] {
  if (proxy.kind === "none") return [];
  const service = [
    "[Unit]",
    `Description=${proxy.kind} reads its files again`,
    `After=${proxy.kind}.service`,
    "# Many changes in a short time are no fault.",
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    "Type=oneshot",
    "# Files that belong together change one after the other.",
    "ExecStartPre=/bin/sleep 1",
    "# With a fault in them the running ones stay in force. Streams end in the processes that they began in.",
    `ExecStartPre=${proxy.check}`,
    "# One that does not run reads them when it starts.",
    `ExecStart=/bin/systemctl try-reload-or-restart ${proxy.kind}.service`,
  ];
  const path = [
    "[Unit]",
    "# Not after the proxy: what is to be watched comes before all services, and a start in a circle leaves one of them out.",
    `Description=Changes of ${proxy.kind}'s files and certificates`,
    "",
    "[Path]",
    ...proxy.watched.map((watched) => `PathChanged=${watched}`),
    "",
    "[Install]",
    "WantedBy=multi-user.target",
  ];
  return [
    systemFile(`/etc/systemd/system/${name}.service`, service, { reload: ["systemctl daemon-reload"] }),
    systemFile(`/etc/systemd/system/${name}.path`, path, {
      reload: ["systemctl daemon-reload", `systemctl enable ${name}.path`, `systemctl restart ${name}.path`],
      remove: [`systemctl disable --now ${name}.path`],
    }),
  ];
}
