// Who is calling: bearer tokens and passwords compared in constant time, or a trusted proxy that names the user.
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { BlockList, isIPv6 } from "node:net";
import { authMode, stackOf } from "../config/rules.ts";
import { type Config, type Scope, scopes } from "../config/schema.ts";
import type { Secrets } from "../config/secrets.ts";
import { GatewayError } from "../errors.ts";

export interface Caller {
  /** The token's id: for logs and metrics. */
  readonly id: string;
  readonly scopes: ReadonlySet<Scope>;
}

export interface Authenticator {
  /** Throws GatewayError `invalid_api_key`. */
  authenticate(headers: IncomingHttpHeaders, remoteAddress: string): Caller;
}

interface Entry {
  readonly digest: Buffer;
  readonly caller: Caller;
  readonly from: number;
  readonly until: number;
}

const everything: ReadonlySet<Scope> = new Set(scopes);

/** Made anew when the config or a secret changes; `now` gives milliseconds. */
export function createAuthenticator(config: Config, secrets: Secrets, now: () => number = Date.now): Authenticator {
  const mode = authMode(config);
  if (mode === "none") {
    const anyone: Caller = { id: "anonymous", scopes: everything };
    return { authenticate: () => anyone };
  }
  if (mode === "trusted-proxy") return behindProxy(config);
  const { auth } = config.gateway;
  const shared = mode === "password" ? auth.password : auth.token;
  const entries: Entry[] = stackOf(config).tokens.map((token) => ({
    digest: digest(secrets.reveal(token.token)),
    caller: { id: token.id, scopes: new Set(token.scopes) },
    from: token.notBefore ? Date.parse(token.notBefore) : 0,
    until: token.expiresAt ? Date.parse(token.expiresAt) : Number.POSITIVE_INFINITY,
  }));
  if (shared !== undefined) {
    entries.unshift({
      digest: digest(secrets.reveal(shared)),
      caller: { id: mode, scopes: everything },
      from: 0,
      until: Number.POSITIVE_INFINITY,
    });
  }

  return {
    authenticate(headers) {
      const given = bearer(headers);
      if (given === undefined)
        throw new GatewayError("invalid_api_key", "A token is needed: send the header Authorization: Bearer <token>.");
      const hash = digest(given);
      let found: Entry | undefined;
      // All are compared, so that the time does not tell which one was near.
      for (const entry of entries) if (timingSafeEqual(entry.digest, hash)) found ??= entry;
      const time = now();
      if (!found || time < found.from) throw new GatewayError("invalid_api_key", "The token is not known here.");
      if (time >= found.until) throw new GatewayError("invalid_api_key", "The token has expired.");
      return found.caller;
    },
  };
}

export function requireScope(caller: Caller, scope: Scope): void {
  if (caller.scopes.has(scope) || caller.scopes.has("operator.admin")) return;
  throw new GatewayError("missing_scope", `The token ${caller.id} lacks the scope ${scope}.`);
}

/** Digests have one length, which the comparison needs, and keep the tokens themselves out of its sight. */
const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

function bearer(headers: IncomingHttpHeaders): string | undefined {
  const { authorization } = headers;
  const match = /^Bearer +(\S.*)$/i.exec(authorization ?? "");
  if (match?.[1]) return match[1].trim();
  const key = headers["x-api-key"];
  return typeof key === "string" && key !== "" ? key : undefined;
}

function behindProxy(config: Config): Authenticator {
  const { trustedProxy } = config.gateway.auth;
  const proxies = addressList(config.gateway.trustedProxies);
  return {
    authenticate(headers, remoteAddress) {
      const refuse = () => new GatewayError("invalid_api_key", "This gateway is reached through its proxy only.");
      if (!trustedProxy || !proxies(remoteAddress)) throw refuse();
      if (trustedProxy.requiredHeaders.some((name) => headers[name.toLowerCase()] === undefined)) throw refuse();
      const user = headers[trustedProxy.userHeader.toLowerCase()];
      if (typeof user !== "string" || user === "") throw refuse();
      if (trustedProxy.allowUsers.length > 0 && !trustedProxy.allowUsers.includes(user))
        throw new GatewayError("missing_scope", "This user is not let in.");
      return { id: "proxy-user", scopes: everything };
    },
  };
}

/** A test for addresses against a list of addresses and networks. */
export function addressList(list: readonly string[]): (address: string) => boolean {
  const blocks = new BlockList();
  for (const entry of list) {
    const [address = "", bits] = entry.split("/");
    const family = isIPv6(address) ? "ipv6" : "ipv4";
    if (bits === undefined) blocks.addAddress(address, family);
    else blocks.addSubnet(address, Number(bits), family);
  }
  return (address) => {
    const plain = address.replace(/^::ffff:(?=\d+\.)/, "");
    return blocks.check(plain, isIPv6(plain) ? "ipv6" : "ipv4");
  };
}
