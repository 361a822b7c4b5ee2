/** Random strings of RandomString and RandomPassword: the least number of each class, the rest from all, in random order. */
import { randomInt } from "node:crypto";
import type { PropertyMap, Value } from "../../values.ts";

const classes = {
  upper: { characters: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", least: "minUpper" },
  lower: { characters: "abcdefghijklmnopqrstuvwxyz", least: "minLower" },
  numeric: { characters: "0123456789", least: "minNumeric" },
  special: { characters: "!@#$%&*()-_=+[]{}<>:?", least: "minSpecial" },
};

/** Throws an Error with the official provider's text where no character is allowed. */
export function randomString(settings: PropertyMap): string {
  const override = settings.overrideSpecial;
  const chosen: string[] = [];
  const all: string[] = [];
  for (const [name, { characters, least }] of Object.entries(classes)) {
    // By code points, so that a character outside the basic plane stays whole.
    const set = [...(name === "special" && typeof override === "string" && override ? override : characters)];
    if (settings[name] === true) all.push(...set);
    for (let i = 0; i < count(settings[least]); i++) chosen.push(pick(set));
  }
  const rest = count(settings.length) - chosen.length;
  if (all.length === 0) throw new Error("the character set specified is empty");
  for (let i = 0; i < rest; i++) chosen.push(pick(all));
  // Fisher-Yates.
  for (let i = chosen.length - 1; i > 0; i--) {
    const j = randomInt(i + 1);
    const other = chosen[j] ?? "";
    chosen[j] = chosen[i] ?? "";
    chosen[i] = other;
  }
  return chosen.join("");
}

function pick(set: string[]): string {
  return set[randomInt(set.length)] ?? "";
}

function count(value: Value | undefined): number {
  return typeof value === "number" ? value : 0;
}
