import { closest, distance } from "fastest-levenshtein";

/** The known name that a typing error most likely meant; undefined when none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const lower = name.toLowerCase();
  const candidates = new Map(known.map((candidate) => [candidate.toLowerCase(), candidate]));
  const found = closest(lower, [...candidates.keys()]);
  const near = distance(lower, found) <= Math.max(1, Math.floor(Math.max(lower.length, found.length) / 3));
  const prefixed = lower.length > 1 ? known.find((candidate) => candidate.toLowerCase().startsWith(lower)) : undefined;
  return near ? candidates.get(found) : prefixed;
}

/** `; did you mean X?` or nothing, to end a sentence on an unknown name. */
export function suggestion(name: string, known: readonly string[]): string {
  const found = nearest(name, known);
  return found === undefined ? "" : `; did you mean ${found}?`;
}
