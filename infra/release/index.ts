/** What is deployed of the gateway: a bundle, a release with its own Node, the context of its image. */
export { type Bundle, bundleGateway } from "./bundle.ts";
export { removeReleases } from "./cache.ts";
export { gatewayRelease } from "./identity.ts";
export { type ImageContext, type ImageOptions, imageContext } from "./image.ts";
export { type ReleasePlatform, releasePlatforms } from "./node-binary.ts";
export { buildRelease, type Release } from "./release.ts";
