/** What the page trains, as a link has it. */
import {
  PRESETS,
  type SingleTrainingConfig,
  singleTrainingSchema,
} from "../../../src/experiment/single_training/config.ts";
import type { SlotConfig } from "./protocol.ts";

export const DEFAULT_SLOT: SlotConfig = {
  training: { ...PRESETS.reduced, depth: 64, steps: 2000 },
  referenceDepth: 0,
};
/** The second network starts as the paper's counterexample: independent layers. */
export const SECOND_SLOT: SlotConfig = {
  ...DEFAULT_SLOT,
  training: { ...DEFAULT_SLOT.training, initialisation: "iid" },
};

/** Of a SlotConfig, as text: what inputs and links hold. */
export type SlotText = Readonly<Record<string, string>>;
const REFERENCE = "referenceDepth";
const NAMES = "ab";

export function textOf({ training, referenceDepth }: SlotConfig): SlotText {
  const entries = Object.entries(training).map(([key, value]) => [key, String(value)]);
  return { ...Object.fromEntries(entries), [REFERENCE]: String(referenceDepth) };
}

export type Problems = Readonly<Record<string, string>>;

/** The configuration that a text means, or what is wrong with it, by field. */
export function slotOf(text: SlotText): { readonly slot: SlotConfig } | { readonly problems: Problems } {
  const read = (key: string, like: unknown): unknown =>
    typeof like === "number" ? (text[key]?.trim() ? Number(text[key]) : Number.NaN) : text[key];
  const config = Object.fromEntries(Object.entries(DEFAULT_SLOT.training).map(([key, like]) => [key, read(key, like)]));
  const parsed = singleTrainingSchema.safeParse(config);
  const problems: Record<string, string> = {};
  for (const issue of parsed.error?.issues ?? []) problems[String(issue.path[0])] ??= issue.message;
  const referenceDepth = read(REFERENCE, 0) as number;
  const depth = config.depth as number;
  if (referenceDepth !== 0 && !(Number.isInteger(referenceDepth) && referenceDepth > depth))
    problems[REFERENCE] = "must be 0 (none) or above the depth";
  // The kernel that measures the distance counts with 32 bits.
  else if (referenceDepth * depth >= 2 ** 32) problems[REFERENCE] = "times the depth must be below 2^32";
  if (parsed.success && Object.keys(problems).length === 0) return { slot: { training: parsed.data, referenceDepth } };
  return { problems };
}

/** `a.depth=64&a.width=16…`, and the same with `b.` for a second network. */
export function linkOf(slots: readonly SlotText[]): URLSearchParams {
  const query = new URLSearchParams();
  for (const [i, slot] of slots.entries())
    for (const [key, value] of Object.entries(slot)) query.set(`${NAMES[i]}.${key}`, value);
  return query;
}

/** The networks of a link; what it leaves out is the default, and what is no field is named. */
export function slotsOfLink(query: URLSearchParams): {
  readonly slots: SlotText[];
  readonly unknown: readonly string[];
} {
  const given: Record<string, string>[] = [{}, {}];
  const unknown: string[] = [];
  const known = Object.keys(textOf(DEFAULT_SLOT));
  for (const [name, value] of query) {
    const [slot, key] = [NAMES.indexOf(name[0] ?? ""), name.slice(2)];
    if (slot < 0 || name[1] !== "." || !known.includes(key)) unknown.push(name);
    else given[slot]![key] = value;
  }
  const first = { ...textOf(DEFAULT_SLOT), ...given[0] };
  const hasSecond = Object.keys(given[1]!).length > 0;
  return { slots: hasSecond ? [first, { ...textOf(SECOND_SLOT), ...given[1] }] : [first], unknown };
}

/** The file that `deeplimit run FILE` takes. */
export function runFileOf(config: SingleTrainingConfig): string {
  return `${JSON.stringify({ experiment: "single-training", preset: "reduced", config }, null, 2)}\n`;
}
