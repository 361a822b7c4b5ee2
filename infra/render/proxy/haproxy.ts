/** Pure: the site as HAProxy (2.6 and newer) reads it. */
import type { RenderedFiles, Site } from "./site.ts";

export interface HaproxyHost {
  /** haproxy.cfg. */
  readonly path?: string;
  /** balancer: behind nginx, which has TLS and names the client; front: alone. */
  readonly role?: "balancer" | "front";
  /** Where it takes orders, such as draining a gateway. */
  readonly adminSocket?: string;
  /** A DNS server for the names of gateways, such as Docker's 127.0.0.11:53, so that a new address is noticed. */
  readonly resolver?: string;
}

export function renderHaproxy(_site: Site, _host: HaproxyHost = {}): RenderedFiles {
  return {};
}
