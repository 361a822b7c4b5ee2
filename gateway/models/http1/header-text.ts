// What names and values of headers may hold: anything else could end a header early. RFC 9110 5.1 and 5.5.

/** A token in small letters. */
export const isHeaderName = (name: string): boolean => /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name);

/** Latin1 without control characters other than the tab. */
export function isHeaderValue(value: string): boolean {
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f || code > 0xff) return false;
  }
  return true;
}
