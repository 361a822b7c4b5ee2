/** Pure: what Redis and certbot are told, as files. */
import { type DockerSettings, megabytes } from "../../settings-docker.ts";
import type { ProxySettings } from "../../settings-proxy.ts";
import { places, usesHttpChallenge } from "./containers.ts";

/** The password stands in a file of its own, which this one includes. */
export function renderRedisConfig({ redis }: DockerSettings): string {
  return `# Written by the stack.
bind 0.0.0.0
protected-mode yes
port 6379
daemonize no
dir ${places.redis}
# Budgets and limits outlive a restart; a second of them may be lost with the host.
appendonly yes
appendfsync everysec
save ""
maxmemory ${megabytes(redis.maxMemory)}mb
# What is counted must not be forgotten silently: a full Redis refuses, and the gateways count by themselves.
maxmemory-policy noeviction
timeout 0
tcp-keepalive 60
include ${places.service}/password.conf
`;
}

export const redisPasswordConfig = (password: string): string => `requirepass ${password}\n`;

/** certbot's cli.ini: options in a file, so that no secret is an argument. */
export function renderCertbotConfig(proxy: ProxySettings, hmacKey: string | undefined): string {
  const { acme } = proxy.tls;
  const { dns, externalAccount, email } = acme;
  const lines = [
    "# Written by the stack.",
    `server = ${acme.directory}`,
    "agree-tos = true",
    "non-interactive = true",
    email ? `email = ${email}` : "register-unsafely-without-email = true",
    "config-dir = /var/lib/certbot/config",
    "work-dir = /var/lib/certbot/work",
    "logs-dir = /tmp",
    "max-log-backups = 0",
    "cert-name = openclaw",
    `domains = ${proxy.names.join(",")}`,
    "key-type = ecdsa",
    "keep-until-expiring = true",
    "renew-with-new-domains = true",
    ...(usesHttpChallenge(proxy) ? ["authenticator = webroot", `webroot-path = ${places.acme}`] : []),
    ...(acme.challenge === "dns-01" && dns
      ? [
          `authenticator = dns-${dns.provider}`,
          ...(dns.credentials ? [`dns-${dns.provider}-credentials = ${places.service}/dns-credentials`] : []),
          `dns-${dns.provider}-propagation-seconds = ${dns.propagationSeconds}`,
        ]
      : []),
    ...(externalAccount ? [`eab-kid = ${externalAccount.kid}`, `eab-hmac-key = ${hmacKey ?? ""}`] : []),
  ];
  return `${lines.join("\n")}\n`;
}

/** A file is whole when it gets its name; the mark says that the certificate is an authority's. */
export const renewScript = `#!/bin/sh
# Asks for the certificate, and twice a day whether it is time for the next one.
live=/var/lib/certbot/config/live/openclaw
install() {
  cmp -s "$live/fullchain.pem" ${places.tls}/fullchain.pem && [ -e ${places.tls}/issued ] && return 0
  umask 077
  cp -L "$live/privkey.pem" ${places.tls}/privkey.new && cp -L "$live/fullchain.pem" ${places.tls}/fullchain.new || return 1
  chmod 444 ${places.tls}/fullchain.new
  mv -f ${places.tls}/privkey.new ${places.tls}/privkey.pem && mv -f ${places.tls}/fullchain.new ${places.tls}/fullchain.pem
  date > ${places.tls}/issued
  echo "certbot: a new certificate is in place"
}
trap 'exit 0' TERM INT
umask 022
wait=60
while :; do
  if certbot certonly --config ${places.service}/cli.ini && install; then wait=43200
  else
    echo "certbot: no certificate; the next try is in $wait s" >&2
    # An authority counts failures: never more than a few an hour.
    [ -e ${places.tls}/issued ] && wait=3600
  fi
  sleep "$wait" & wait $!
  [ "$wait" -lt 3600 ] && wait=$((wait * 2))
done
`;
