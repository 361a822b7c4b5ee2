/** Pure: the container that gets the certificate from an authority and renews it, and the files in it. */
import { createHash } from "node:crypto";
import { megabytes } from "../../settings-docker.ts";
import type { ProxySettings } from "../../settings-proxy.ts";
import { certbotDns } from "../certbot-dns.ts";
import type { ContainerShape } from "./container.ts";
import { type ContainersInput, imageName, places, serviceUser, usesHttpChallenge } from "./containers.ts";

const caPath = "/etc/acme-ca.pem";
const credentialsPath = `${places.service}/dns-credentials`;
const script = `${places.service}/renew.sh`;
/** The image without plug-ins; its authors have one more for each of theirs. */
const plainImage = /^certbot\/certbot(?=:|$)/;

export function certbotShape({ docker, proxy }: ContainersInput): ContainerShape {
  const { acme } = proxy.tls;
  const { image, limits } = { image: docker.images.certbot, limits: docker.limits.certbot };
  const plugin = acme.challenge === "dns-01" ? acme.dns?.provider : undefined;
  const name = plugin ? image.name.replace(plainImage, `certbot/dns-${plugin}`) : image.name;
  return {
    service: "certbot",
    image: imageName({ ...image, name }, docker.mirror),
    entrypoint: ["/bin/sh", script],
    user: `${serviceUser}:${serviceUser}`,
    environment: {
      HOME: "/tmp",
      ...(acme.caFile ? { REQUESTS_CA_BUNDLE: caPath } : {}),
      ...certbotDns(proxy, credentialsPath)?.environment,
    },
    networks: ["edge"],
    volumes: [
      { from: "certbot-config", path: places.service, readOnly: true },
      { from: "certbot", path: "/var/lib/certbot", readOnly: false },
      { from: "tls", path: places.tls, readOnly: false },
      ...(usesHttpChallenge(proxy) ? [{ from: "acme", path: places.acme, readOnly: false }] : []),
      ...(acme.caFile ? [{ from: acme.caFile, path: caPath, readOnly: true }] : []),
    ],
    tmpfs: { "/tmp": "rw,noexec,nosuid,nodev,size=64m,mode=1777" },
    limits: { memoryMb: megabytes(limits.memory), cpus: limits.cpus, pids: limits.pids },
    // Of the last try: operators see a renewal that fails long before the certificate ends.
    health: {
      test: ["CMD", "/bin/sh", script, "healthy"],
      intervalSeconds: 10,
      timeoutSeconds: 5,
      retries: 3,
      startPeriodSeconds: 180,
    },
    readySeconds: 0,
    stopSeconds: 10,
    readOnlyRoot: true,
    // A shell reads its script once.
    revision: createHash("sha256").update(renewScript(proxy)).digest("hex").slice(0, 8),
    logs: docker.logs,
  };
}

/** certbot's cli.ini: options in a file, so that no secret is an argument. */
export function renderCertbotConfig(proxy: ProxySettings, hmacKey: string | undefined): string {
  const { acme } = proxy.tls;
  const { externalAccount, email } = acme;
  const lines = [
    "# Written by the stack.",
    `server = ${acme.directory}`,
    "agree-tos = true",
    "non-interactive = true",
    email ? `email = ${email}` : "register-unsafely-without-email = true",
    "config-dir = /var/lib/certbot/config",
    "work-dir = /var/lib/certbot/work",
    "logs-dir = /tmp",
    "max-log-backups = 2",
    "cert-name = openclaw",
    `domains = ${proxy.names.join(",")}`,
    "key-type = ecdsa",
    "keep-until-expiring = true",
    "renew-with-new-domains = true",
    ...(usesHttpChallenge(proxy) ? ["authenticator = webroot", `webroot-path = ${places.acme}`] : []),
    ...(certbotDns(proxy, credentialsPath)?.options ?? []).map(([option, value]) => `${option} = ${value}`),
    ...(externalAccount ? [`eab-kid = ${externalAccount.kid}`, `eab-hmac-key = ${hmacKey ?? ""}`] : []),
  ];
  return `${lines.join("\n")}\n`;
}

/** Longer than certbot takes, so that what it says is heard. */
export function answerSeconds({ tls: { acme } }: ProxySettings): number {
  return 300 + (acme.challenge === "dns-01" ? (acme.dns?.propagationSeconds ?? 0) : 0);
}

/** POSIX shell. A file is whole when it gets its name; the mark `issued` says that the certificate is an authority's. */
export function renewScript(proxy: ProxySettings): string {
  return `#!/bin/sh
# Asks for the certificate, and then every ${proxy.tls.acme.checkSeconds} s whether it is time for the next one.
#   renew.sh now       has the one that runs try again, unless its last try was good, and tells what came of it
#   renew.sh healthy   whether the last try was good
set -u
service=${places.service} tls=${places.tls} state=/var/lib/certbot
outcome=/tmp/outcome again=/tmp/again

# Of everything that decides on the certificate.
settings() { cat "$service/cli.ini" "$service/dns-credentials" 2>/dev/null | cksum; }
line() { sed -n "$1p" "$outcome" 2>/dev/null; }

case "\${1-}" in
healthy)
  [ -e "$tls/issued" ] && [ "$(line 2)" = 0 ]
  exit
  ;;
now)
  wanted=$(settings) left=${answerSeconds(proxy)}
  if [ -e "$outcome" ] && [ "$(line 2)" != 0 ]; then rm -f "$outcome"; touch "$again"; fi
  until [ "$(line 1)" = "$wanted" ]; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || { echo "certbot has not ended in ${answerSeconds(proxy)} s"; exit 1; }
    sleep 1
  done
  sed 1,2d "$outcome"
  exit "$(line 2)"
  ;;
esac

install() {
  live=$state/config/live/openclaw
  cmp -s "$live/fullchain.pem" "$tls/fullchain.pem" && [ -e "$tls/issued" ] && return 0
  umask 077
  cp -L "$live/privkey.pem" "$tls/privkey.new" && cp -L "$live/fullchain.pem" "$tls/fullchain.new" || return 1
  chmod 400 "$tls/privkey.new" && chmod 444 "$tls/fullchain.new"
  mv -f "$tls/privkey.new" "$tls/privkey.pem" && mv -f "$tls/fullchain.new" "$tls/fullchain.pem" || return 1
  date > "$tls/issued"
  echo "certbot: a new certificate is in place"
}

# Another container may still be at it: the one before this.
try() {
  tried=$(settings)
  server=$(sed -n 's/^server = //p' "$service/cli.ini")
  force=
  # certbot would keep the certificate of another authority, such as one for tests.
  [ "$(cat "$state/server" 2>/dev/null)" = "$server" ] || force=--force-renewal
  umask 022
  flock "$state/lock" certbot certonly --config "$service/cli.ini" $force > /tmp/said 2>&1 &
  child=$!
  wait "$child"
  code=$?
  child=
  cat /tmp/said
  [ "$code" = 0 ] && { install >> /tmp/said 2>&1 && printf '%s\\n' "$server" > "$state/server" || code=1; }
  {
    printf '%s\\n%s\\n' "$tried" "$code"
    grep -v -e '^$' -e '^- - ' -e '^Saving debug log' -e '^Ask for help' -e '^Some challenges have failed' /tmp/said
  } > "$outcome.new"
  rm -f "$again"
  mv "$outcome.new" "$outcome"
  return "$code"
}

child=
trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit 0' TERM INT
due=0 pause=60 tried=
while :; do
  if [ "$(date +%s)" -ge "$due" ] || [ -e "$again" ] || [ "$(settings)" != "$tried" ]; then
    if try; then
      pause=60
      due=$(($(date +%s) + ${proxy.tls.acme.checkSeconds}))
    else
      echo "certbot: no new certificate; nginx goes on with the one that it has, and the next try is in $pause s" >&2
      due=$(($(date +%s) + pause))
      # An authority counts failures: never more than a few an hour.
      pause=$((pause * 2))
      [ "$pause" -le 3600 ] || pause=3600
    fi
  fi
  sleep 2 &
  wait $!
done
`;
}
