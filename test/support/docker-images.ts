/** Images for a real daemon without a registry: a Debian base and Debian's packages, under the tags that a stack asks for. */
import type { TestDocker } from "./docker.ts";

/** What an image does, by Debian's package; `base` is Debian itself, with ca-certificates. */
export type ImageKind = "base" | "nginx" | "caddy" | "haproxy" | "redis" | "certbot";

/**
 * Loads each kind under the tag that is asked for: { "nginx:1.28": "nginx", "debian:12-slim": "base" }. The first call on a
 * machine builds them into the user's cache (one to two minutes); later ones take seconds.
 *
 * Like the official images: nginx, haproxy and redis run in the foreground and write to the terminal, certbot has its program
 * as entry point; redis and haproxy have a user of that name. Commands should be said in full all the same.
 */
export async function provideImages(_docker: TestDocker, _wanted: { readonly [tag: string]: ImageKind }): Promise<void> {
  throw new Error("no images yet");
}
