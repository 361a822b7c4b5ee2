/** Pure: the site as Caddy (2.6 and newer) reads it. */
import type { RenderedFiles, Site } from "./site.ts";

export interface CaddyHost {
  /** The Caddyfile. */
  readonly path?: string;
  /** Where it takes orders, such as a reload: a socket that only its own user may use. */
  readonly adminSocket?: string;
}

export function renderCaddy(_site: Site, _host: CaddyHost = {}): RenderedFiles {
  return {};
}
