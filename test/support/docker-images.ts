/** Images for a real daemon without a registry: a Debian base and Debian's packages, under the tags that a stack asks for. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { builtOnce, isBuilt } from "./built-once.ts";
import { debianRepository, repositoryPath, sourcesList } from "./debian-repository.ts";
import { debianRoot } from "./debian-root.ts";
import type { TestDocker } from "./docker.ts";
import { runCommand } from "./outcome.ts";

/** What an image does; `base` is Debian itself, with ca-certificates; `certbot-dns` is certbot with its plug-in for RFC 2136. */
export type ImageKind = "base" | "nginx" | "caddy" | "haproxy" | "redis" | "certbot" | "certbot-dns";

interface Kind {
  /** Run in the image when it is made; users have the numbers that they have in the official images. */
  readonly script: string;
  readonly config: object;
}

const install = "apt-get -q update && apt-get -q -y --no-install-recommends install";
const certbot = {
  Entrypoint: ["certbot"],
  WorkingDir: "/opt/certbot",
  Volumes: { "/etc/letsencrypt": {}, "/var/lib/letsencrypt": {} },
};
const kinds: { readonly [kind in ImageKind]: Kind } = {
  base: {
    // Only what is essential stays of a Debian that boots, as in the official image.
    script: `printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
      apt-mark auto $(dpkg-query -W -f '\${Package} ') >/dev/null
      apt-mark manual apt adduser passwd login tzdata ca-certificates >/dev/null
      SUDO_FORCE_REMOVE=yes apt-get -q -y purge --auto-remove systemd-sysv systemd openssh-server sudo
      awk -F: '$3 >= 100 && $3 < 1000 && $1 != "_apt" { print $1 }' /etc/passwd | xargs -r -n 1 userdel
      awk -F: '$3 > 100 && $3 < 1000 { print $1 }' /etc/group | xargs -r -n 1 groupdel
      rm -rf /var/log/* /etc/ssh /root/.ssh`,
    config: { Cmd: ["bash"] },
  },
  nginx: {
    script: `groupadd -r -g 101 nginx && useradd -r -u 101 -g nginx -M -s /bin/false nginx
      ${install} nginx && rm -f /etc/nginx/sites-enabled/default
      ln -sf /dev/stdout /var/log/nginx/access.log && ln -sf /dev/stderr /var/log/nginx/error.log`,
    config: { Cmd: ["nginx", "-g", "daemon off;"], StopSignal: "SIGQUIT", ExposedPorts: { "80/tcp": {} } },
  },
  caddy: {
    script: `${install} caddy`,
    config: { Cmd: ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"] },
  },
  haproxy: {
    script: `${install} haproxy && groupmod -g 99 haproxy && usermod -u 99 haproxy
      mkdir -p /usr/local/etc/haproxy && ln -s /usr/sbin/haproxy /usr/local/sbin/haproxy`,
    config: {
      Cmd: ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"],
      StopSignal: "SIGUSR1",
      User: "haproxy",
      WorkingDir: "/var/lib/haproxy",
    },
  },
  redis: {
    script: `${install} redis-server && groupmod -g 1000 redis && usermod -u 999 redis
      mkdir -p /data && chown redis:redis /data`,
    config: { Cmd: ["redis-server"], WorkingDir: "/data", Volumes: { "/data": {} }, ExposedPorts: { "6379/tcp": {} } },
  },
  certbot: { script: `${install} certbot && mkdir -p /opt/certbot`, config: certbot },
  "certbot-dns": { script: `${install} certbot python3-certbot-dns-rfc2136 && mkdir -p /opt/certbot`, config: certbot },
};
const all: readonly ImageKind[] = ["base", "nginx", "caddy", "haproxy", "redis", "certbot", "certbot-dns"];

/** Layers under names of their contents. */
const layersSchema = z.record(z.string(), z.object({ file: z.string(), sha256: z.string() }));
type Layers = z.infer<typeof layersSchema>;

/**
 * Loads each kind under the tag that is asked for: { "nginx:1.28": "nginx", "debian:12-slim": "base" }. The first call on a
 * machine builds them into the user's cache (half a minute beyond the Debian root and the packages); later ones take seconds.
 *
 * Like the official images: nginx, haproxy and redis run in the foreground and write to the terminal, certbot has its program
 * as entry point; nginx, haproxy and redis have users of those names and numbers. Their versions are Debian's, whatever the
 * tag says. Commands should be said in full all the same.
 */
export async function provideImages(docker: TestDocker, wanted: { readonly [tag: string]: ImageKind }): Promise<void> {
  const folder = await imageLayers();
  const layers = layersSchema.parse(JSON.parse(readFileSync(join(folder, "complete"), "utf8")));
  const list = mkdtempSync(join(tmpdir(), "docker-images-"));
  try {
    const byKind = Map.groupBy(Object.entries(wanted), ([, kind]) => kind);
    const manifest = [...byKind].map(([kind, tags]) => {
      const own = [...new Set<ImageKind>(["base", kind])].map((name) => layerOf(layers, name));
      const config = `${kind}.json`;
      writeFileSync(join(list, config), JSON.stringify(configOf(kind, own)));
      return { Config: config, RepoTags: tags.map(([tag]) => tag), Layers: own.map(({ file }) => file) };
    });
    writeFileSync(join(list, "manifest.json"), JSON.stringify(manifest));
    const files = new Set(manifest.flatMap(({ Layers }) => Layers));
    const script = `host="$1" list="$2" layers="$3"; shift 3
      tar -c -C "$list" $(ls "$list") -C "$layers" "$@" | docker -H "$host" load`;
    const { code, text } = await runCommand(["sh", "-c", script, "sh", docker.host, list, folder, ...files]);
    const loaded = text.match(/^Loaded image/gm)?.length ?? 0;
    if (code !== 0 || loaded !== Object.keys(wanted).length) throw new Error(`the images could not be loaded:\n${text}`);
  } finally {
    rmSync(list, { recursive: true, force: true });
  }
}

function layerOf(layers: Layers, kind: ImageKind): { file: string; sha256: string } {
  const layer = layers[kind];
  if (!layer) throw new Error(`no layer ${kind} in the cache`);
  return layer;
}

function configOf(kind: ImageKind, layers: readonly { sha256: string }[]): object {
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  return {
    architecture,
    os: "linux",
    created: "2026-01-01T00:00:00Z",
    config: { Env: [path], ...kinds[kind].config },
    rootfs: { type: "layers", diff_ids: layers.map(({ sha256 }) => `sha256:${sha256}`) },
    history: layers.map(() => ({ created: "2026-01-01T00:00:00Z", created_by: "Debian's package" })),
  };
}

/** The folder of all layers and the stamp file that lists them. */
async function imageLayers(): Promise<string> {
  const version = createHash("sha256")
    .update(JSON.stringify([kinds, layerScript]))
    .digest("hex")
    .slice(0, 8);
  const folder = join(homedir(), `.cache/openclaw-stack/docker-layers-${version}`);
  if (isBuilt(folder)) return folder;
  const root = await debianRoot();
  const packages = await debianRepository();
  await builtOnce(folder, (building) => buildLayers(building, root, packages));
  return folder;
}

async function buildLayers(building: string, root: string, packages: string): Promise<void> {
  console.error(`building images for Docker in ${building}, once: about 300 MB, half a minute`);
  const base = mkdtempSync(join(tmpdir(), "docker-layers-"));
  try {
    const layers: Layers = {};
    for (const kind of all) {
      console.error(`  ${kind}`);
      const lower = kind === "base" ? root : `${join(base, "base/upper")}:${root}`;
      const file = `${kind}.tar`;
      const command = ["unshare", "--mount", "sh", "-ec", layerScript, "sh", join(base, kind), lower, packages];
      const more = [join(building, file), kinds[kind].script, kind === "base" ? "whole" : "layer", sourcesList];
      const env = {
        PATH: process.env.PATH,
        DEBIAN_FRONTEND: "noninteractive",
        LANG: "C.UTF-8",
        SYSTEMD_OFFLINE: "1",
        DPKG_FORCE: "unsafe-io",
      };
      const { code, text } = await runCommand([...command, ...more], { env });
      if (code !== 0) throw new Error(`the image of ${kind} could not be made:\n${text.slice(-3000)}`);
      const [sha256 = ""] = (await runCommand(["sha256sum", join(building, file)])).stdout.split(" ");
      layers[kind] = { file, sha256 };
    }
    writeFileSync(join(building, "complete"), JSON.stringify(layers, null, 2));
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

/** In a layer over others: folder, lower layers, packages, the tar to make, what to do, all files or the layer's, sources. */
const layerScript = `
  mkdir -p "$1/upper" "$1/work" "$1/root"
  root="$1/root"
  mount -t overlay -o "redirect_dir=off,lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay "$root"
  mkdir -p "$root${repositoryPath}" "$root/var/cache/apt/archives/partial"
  mount --bind "$3" "$root${repositoryPath}"
  mount -t proc proc "$root/proc"
  for device in null zero urandom; do touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
  printf '%s' "$7" > "$root/etc/apt/sources.list"
  chroot "$root" sh -ec "$5"
  umount "$root${repositoryPath}" "$root/proc" "$root/dev/null" "$root/dev/zero" "$root/dev/urandom"
  rm -rf "$root/var/cache/apt" "$root/var/lib/apt/lists" "$root${repositoryPath}" "$root/var/log/apt" "$root/var/log/dpkg.log"
  mkdir -p "$root/var/lib/apt/lists/partial" "$root/var/cache/apt/archives/partial"
  : > "$root/etc/resolv.conf"
  files="$root"
  if [ "$6" = layer ]; then
    umount "$root"
    files="$1/upper"
    # Files that are gone, in the words of an image's layer.
    find "$files" -type c | while read -r gone; do rm "$gone"; touch "$(dirname "$gone")/.wh.$(basename "$gone")"; done
  fi
  tar -C "$files" --numeric-owner --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' -cf "$4" .`;
