// Names in the settings of admission and quotas: a typo would be an upstream without limits, and nobody would notice.
import type { AdmissionConfig, QuotaConfig } from "./admission.ts";
import type { Fault, Path } from "./faults.ts";

interface Settings {
  readonly admission: AdmissionConfig;
  readonly quotas: Readonly<Record<string, QuotaConfig>>;
}

/** `block` is where these settings are in the file. */
export function checkAdmission(settings: Settings, providers: readonly string[], block: Path): Fault[] {
  const faults: Fault[] = [];
  const known = providers.length > 0 ? `; there is ${providers.join(", ")}` : "";
  for (const name of Object.keys(settings.admission.upstreams)) {
    if (providers.some((id) => name === id || (name.startsWith(`${id}/`) && name.length > id.length + 1))) continue;
    faults.push({
      path: [...block, "admission", "upstreams", name],
      problem: "is neither a provider of models.providers nor a model of one",
      fix: `Write "provider" or "provider/model"${known}.`,
    });
  }
  for (const [id, { keys }] of Object.entries(settings.quotas)) {
    const path = [...block, "quotas", id];
    if (!providers.includes(id))
      faults.push({ path, problem: "is not a provider of models.providers", fix: `Write a provider's name${known}.` });
    for (const [index, key] of keys.entries()) {
      if (keys.findIndex((other) => other.id === key.id) === index) continue;
      faults.push({
        path: [...path, "keys", index, "id"],
        problem: `${key.id} is there twice`,
        fix: "Give each key its own id.",
      });
    }
  }
  return faults;
}
