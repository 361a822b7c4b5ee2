/** Pure: the main file of Debian's and Ubuntu's nginx, as their package has it, but for the number of connections. */
import { indent } from "./indent.ts";
import type { RenderedFiles } from "./site.ts";

/** Of one worker; a client behind a proxy takes two. The distributions' 768 are for pages, not for streams that stay. */
const connections = 16_384;

/** Sites of others are read as ever; only where nobody changed the package's file, which an include cannot raise. */
export function renderNginxMain(root = "/etc/nginx"): RenderedFiles {
  const lines = [
    "# Written by the stack: the next up overwrites what is changed here. The package's own comes back with destroy.",
    "user www-data;",
    "worker_processes auto;",
    "worker_rlimit_nofile 65536;",
    "pid /run/nginx.pid;",
    "error_log /var/log/nginx/error.log;",
    `include ${root}/modules-enabled/*.conf;`,
    "events {",
    `worker_connections ${connections};`,
    "}",
    "http {",
    "sendfile on;",
    "tcp_nopush on;",
    "types_hash_max_size 2048;",
    "server_tokens off;",
    `include ${root}/mime.types;`,
    "default_type application/octet-stream;",
    "ssl_protocols TLSv1.2 TLSv1.3;",
    "ssl_prefer_server_ciphers off;",
    "access_log /var/log/nginx/access.log;",
    "gzip on;",
    `include ${root}/conf.d/*.conf;`,
    `include ${root}/sites-enabled/*;`,
    "}",
  ];
  return { [`${root}/nginx.conf`]: indent(lines) };
}
