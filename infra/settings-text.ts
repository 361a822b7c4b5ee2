/** Pulumi hands objects, numbers and booleans over as text. */
export function decodeSetting(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
