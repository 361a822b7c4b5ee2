/** The certificate of an authority: the program that gets and renews it, and the timer that runs it. Others' certificates are not touched. */
import { type CertbotFacts, helperFolder, type Machine, type SystemFile, systemFile } from "./machine.ts";

const name = "openclaw-certificate";
/** At most so long after a boot it is looked whether it is time: the server may have been off for weeks. */
const afterBootSeconds = 600;

export const renewProgram = (machine: Machine): string => `${helperFolder(machine)}/renew-certificate`;

export function renderCertificate(machine: Machine): SystemFile[] {
  const { certbot, kind } = machine.proxy;
  if (!certbot) return [];
  const program = renewProgram(machine);
  const { checkSeconds } = certbot;
  const service = [
    "[Unit]",
    "Description=The certificate of the gateway's names",
    `After=network-online.target ${kind}.service`,
    "Wants=network-online.target",
    "",
    "[Service]",
    "Type=oneshot",
    `ExecStart=${program}`,
    "PrivateTmp=yes",
  ];
  const timer = [
    "[Unit]",
    "Description=Looks whether it is time to renew the certificate of the gateway's names",
    "",
    "[Timer]",
    `OnActiveSec=${Math.min(checkSeconds, afterBootSeconds)}s`,
    `OnUnitInactiveSec=${checkSeconds}s`,
    `RandomizedDelaySec=${Math.ceil(checkSeconds / 10)}s`,
    "AccuracySec=5s",
    "",
    "[Install]",
    "WantedBy=timers.target",
  ];
  return [
    systemFile(program, renewLines(machine, certbot), { mode: "0755", validate: 'sh -n "$FILE"' }),
    systemFile(`/etc/systemd/system/${name}.service`, service, { reload: ["systemctl daemon-reload"] }),
    systemFile(`/etc/systemd/system/${name}.timer`, timer, {
      reload: ["systemctl daemon-reload", `systemctl enable ${name}.timer`, `systemctl restart ${name}.timer`],
      remove: [`systemctl disable --now ${name}.timer`],
    }),
  ];
}

function renewLines({ proxy }: Machine, certbot: CertbotFacts): string[] {
  const { home, tls, server, caFile, accountFile, environment } = certbot;
  return [
    "#!/bin/sh",
    `# Gets the certificate, or the next one when it is time, and has ${proxy.kind} serve it. Without a change nothing is done.`,
    "set -eu",
    "umask 022",
    `home=${home} tls=${tls} server=${quoted(server)}`,
    'mkdir -p "$home/webroot"',
    'exec 9>"$home/lock"',
    "flock -w 600 9",
    ...(caFile ? [`export REQUESTS_CA_BUNDLE=${quoted(caFile)}`] : []),
    ...Object.entries(environment).map(([variable, value]) => `export ${variable}=${quoted(value)}`),
    "force=",
    "# certbot would keep the certificate of another authority, such as one for tests.",
    '[ "$(cat "$home/server" 2>/dev/null)" = "$server" ] || force=--force-renewal',
    `certbot certonly --config ${accountFile ?? "/dev/null"} --config-dir "$home/config" --work-dir "$home/work" --logs-dir "$home/logs" \\`,
    "  --max-log-backups 5 --non-interactive --agree-tos --cert-name openclaw --key-type ecdsa \\",
    '  --keep-until-expiring --renew-with-new-domains $force --server "$server" \\',
    `  ${certbot.arguments.map(quoted).join(" ")} 9>&-`,
    `printf '%s\\n' "$server" >"$home/server"`,
    "link() {",
    '  [ "$(readlink "$2")" = "$home/config/live/openclaw/$1" ] && return 0',
    '  ln -sfn "$home/config/live/openclaw/$1" "$tls/.new"',
    '  mv -f -T "$tls/.new" "$2"',
    "}",
    'link privkey.pem "$tls/key.pem"',
    'link fullchain.pem "$tls/chain.pem"',
    'sum=$(sha256sum <"$tls/chain.pem")',
    '[ "$sum" = "$(cat "$home/served" 2>/dev/null)" ] && exit 0',
    "# Streams end in the processes that they began in.",
    proxy.check,
    `systemctl reload ${proxy.kind}.service 9>&-`,
    `printf '%s\\n' "$sum" >"$home/served"`,
  ];
}

function quoted(text: string): string {
  return /^[A-Za-z0-9_/.:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
