/** Cases for the renderers of proxies: settings and place in, files of each program out. */
import { readFileSync } from "node:fs";
import { type CaddyHost, renderCaddy } from "../../infra/render/proxy/caddy.ts";
import { type HaproxyHost, renderHaproxy } from "../../infra/render/proxy/haproxy.ts";
import { type NginxHost, renderNginx } from "../../infra/render/proxy/nginx.ts";
import { type RenderedFiles, type SitePlace, siteOf } from "../../infra/render/proxy/site.ts";
import { proxySettings } from "../../infra/settings-proxy.ts";

export interface ProxyCase {
  /** The section of a stack file. */
  readonly proxy: object;
  readonly place: SitePlace;
  /** Programs that are rendered from it, each with what it is told about its host. */
  readonly nginx?: NginxHost;
  readonly caddy?: CaddyHost;
  readonly haproxy?: HaproxyHost;
}

export function readProxyCase(file: string): ProxyCase {
  return JSON.parse(readFileSync(file, "utf8"));
}

export function renderProxyCase({ proxy, place, nginx, caddy, haproxy }: ProxyCase): { [program: string]: RenderedFiles } {
  const site = siteOf(proxySettings.parse(proxy), place);
  return {
    ...(nginx ? { nginx: renderNginx(site, nginx) } : {}),
    ...(caddy ? { caddy: renderCaddy(site, caddy) } : {}),
    ...(haproxy ? { haproxy: renderHaproxy(site, haproxy) } : {}),
  };
}
