// What is told of requests that do not come whole, as node:http tells it.

export const tooSlow = (url: string | undefined): Error =>
  broken("ERR_HTTP_REQUEST_TIMEOUT", "the request did not come in time", url);

export const cutShort = (url: string | undefined): Error => broken("HPE_INVALID_EOF_STATE", "the request was cut short", url);

/** `rawPacket` has the path, where it is known. */
function broken(code: string, message: string, url: string | undefined): Error {
  const error = Object.assign(new Error(message), { code });
  return url === undefined ? error : Object.assign(error, { rawPacket: Buffer.from(`POST ${url} HTTP/1.1`) });
}
