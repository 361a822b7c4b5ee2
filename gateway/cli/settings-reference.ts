// Prints docs/settings.md from the schema.

export function settingsReference(): string {
  return "";
}
