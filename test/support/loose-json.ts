/** Reads JSON whose shape is not known: what is not there is empty. */

export type Json = Record<string, unknown>;

export const json = (value: unknown): Json => (typeof value === "object" && value !== null ? { ...value } : {});
export const list = (value: unknown): Json[] => (Array.isArray(value) ? value.map(json) : []);
export const text = (value: unknown): string => (typeof value === "string" ? value : "");
export const number = (value: unknown): number => (typeof value === "number" ? value : Number.NaN);
export const join = (items: Json[], field: string): string => items.map((item) => text(item[field])).join("");
