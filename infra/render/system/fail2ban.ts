/** fail2ban: addresses that guess at SSH or at the gateway's tokens are shut out, each time for longer. */
import { servedPorts, sshPorts } from "./firewall-ports.ts";
import { gatewayService, standInService } from "./gateway-names.ts";
import { type Fail2banFacts, type Machine, type SystemFile, systemFile } from "./machine.ts";

export const gatewayJail = "openclaw-gateway";
/** Beyond this bans grow no further. */
const longestBanSeconds = 7 * 24 * 3600;

export function renderFail2ban(machine: Machine): SystemFile[] {
  if (!machine.fail2ban) return [];
  return [
    systemFile(`/etc/fail2ban/filter.d/${gatewayJail}.conf`, filter()),
    // A jail.local of the server's owner is read later, and so it prevails.
    systemFile("/etc/fail2ban/jail.d/openclaw.conf", jails(machine, machine.fail2ban), {
      reload: ["fail2ban-client -t", "systemctl enable fail2ban.service", "systemctl reload-or-restart fail2ban.service"],
      // The jail of SSH goes back to what the distribution says with fail2ban's next start.
      remove: [`fail2ban-client stop ${gatewayJail} || true`],
    }),
  ];
}

/**
 * The client's address is the one that the gateway found behind its trusted proxies, never the proxy's. In front of it are
 * only fields that the gateway itself writes, or whose quotes are escaped: no client can name somebody else's address.
 */
function filter(): string[] {
  const text = String.raw`(?:[^"\\]|\\.)*`;
  const gateway = [
    String.raw`\{"timestamp":"[^"]*","level":"info","component":"http","event":"request","message":"${text}"`,
    String.raw`"request_id":"[\w.:-]+"`,
    String.raw`"method":"\w+"`,
    `"route":"${text}"`,
    '"status":401',
    String.raw`"duration_ms":[\d.]+`,
    '"remote":"<ADDR>"',
  ].join(",");
  const nginx = String.raw`\{"time":"[^"]*","address":"<ADDR>","method":"${text}","path":"${text}","status":"401",`;
  return [
    "# Requests that were refused with 401.",
    "[Definition]",
    "# A line of the journal begins with the host and the name of the program.",
    String.raw`_gateway = ^\s*(?:\S+ )?openclaw-gateway(?:\[\d+\])?:\s+`,
    `failregex = %(_gateway)s${gateway}`,
    "            # The same in nginx's access log, where that is what is read.",
    `            ^${nginx}`,
    "ignoreregex =",
    "datepattern = {^LN-BEG}",
    `journalmatch = _SYSTEMD_UNIT=${gatewayService} + _SYSTEMD_UNIT=${standInService}`,
  ];
}

function jails(machine: Machine, facts: Fail2banFacts): string[] {
  const { proxy } = machine;
  const ignored = ["127.0.0.0/8", "::1", ...facts.ignoreAddresses];
  const common = [
    "enabled = true",
    `maxretry = ${facts.maxRetry}`,
    `findtime = ${facts.findTimeSeconds}`,
    `bantime = ${facts.banTimeSeconds}`,
    "# Whoever comes back is shut out for longer.",
    "bantime.increment = true",
    `bantime.maxtime = ${Math.max(longestBanSeconds, facts.banTimeSeconds)}`,
    "bantime.rndtime = 60",
    `ignoreip = ${ignored.join(" ")}`,
    "banaction = nftables-multiport",
    "banaction_allports = nftables-allports",
  ];
  const source =
    facts.source === "proxy" && proxy.accessLog ? ["backend = auto", `logpath = ${proxy.accessLog}`] : ["backend = systemd"];
  return [
    "[sshd]",
    ...common,
    `port = ${sshPorts(machine).join(",")}`,
    "backend = systemd",
    "# Newer servers log the session under a name of its own.",
    "journalmatch = _SYSTEMD_UNIT=ssh.service + _COMM=sshd + _COMM=sshd-session",
    "",
    `[${gatewayJail}]`,
    ...common,
    `filter = ${gatewayJail}`,
    `port = ${servedPorts(machine).join(",")}`,
    ...source,
  ];
}
