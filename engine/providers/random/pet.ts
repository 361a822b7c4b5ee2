/** Names of RandomPet: adverbs, one adjective and an animal, as many words as asked for, after a prefix. */
import { randomInt } from "node:crypto";
import { adjectives, adverbs, names } from "./pet-words.ts";

export function petName(words: number, separator: string, prefix: string): string {
  const chosen: string[] = [];
  for (let i = 2; i < words; i++) chosen.push(pick(adverbs));
  if (words !== 1) chosen.push(pick(adjectives));
  chosen.push(pick(names));
  const name = chosen.join(separator).toLowerCase();
  return prefix ? `${prefix}${separator}${name}` : name;
}

function pick(list: string[]): string {
  return list[randomInt(list.length)] ?? "";
}
