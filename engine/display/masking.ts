/** Takes the marks off values for documents that people and programs read: secrets become `[secret]`. */
import { isMap, isSecret, type PropertyMap, signatureOf, signatures, type Value } from "../values.ts";

export function masked(value: Value, showSecrets: boolean): Value {
  if (isSecret(value)) return showSecrets ? masked(value.value ?? null, showSecrets) : "[secret]";
  if (Array.isArray(value)) return value.map((item) => masked(item, showSecrets));
  if (!isMap(value)) return value;
  if (signatureOf(value) === signatures.output) {
    if (value.secret === true && !showSecrets) return "[secret]";
    return value.value === undefined ? value : masked(value.value, showSecrets);
  }
  return maskedMap(value, showSecrets);
}

export function maskedMap(map: PropertyMap, showSecrets: boolean): PropertyMap {
  const out: PropertyMap = {};
  for (const [key, value] of Object.entries(map)) out[key] = masked(value, showSecrets);
  return out;
}
