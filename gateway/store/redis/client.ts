// The Redis client, loaded when a cluster is configured. A module of its own: of a package that is loaded by its name a bundle keeps no names.
export { createClient } from "@redis/client";
