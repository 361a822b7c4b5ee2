/** Pure: the site as nginx (1.18 and newer) reads it. */
import type { RenderedFiles, Site } from "./site.ts";

export interface NginxHost {
  /** Newer versions spell some directives differently. */
  readonly version?: string;
  /** whole: nginx.conf and all, for a container; site: beside the sites of others, on Debian and Ubuntu. */
  readonly layout?: "whole" | "site";
  /** The folder of nginx.conf. */
  readonly root?: string;
  /** whole: a folder that nginx may write to, for its pid and for temporary files. */
  readonly runtimeFolder?: string;
}

export function renderNginx(_site: Site, _host: NginxHost = {}): RenderedFiles {
  return {};
}
