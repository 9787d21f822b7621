import { History } from "./history.ts";
import type { Frame } from "./protocol.ts";

export const NAMES = ["A", "B"] as const;

/** Steps a second are counted over this long, ms. */
const SPEED_MS = 3000;

/** What the page knows of a network. */
export interface Shown {
  readonly start: Frame | undefined;
  readonly now: Frame | undefined;
  readonly history: History;
  /** Steps by the page's clock, for the speed. */
  readonly clock: readonly { readonly at: number; readonly step: number }[];
  readonly built: { readonly bytes: number; readonly layout: string; readonly depth: number } | undefined;
}

export function nothingShown(): Shown {
  return { start: undefined, now: undefined, history: new History(), clock: [], built: undefined };
}

/** The same with a new frame, that came at `at` ms. */
export function withFrame(shown: Shown, frame: Frame, at: number): Shown {
  shown.history.add(frame);
  const clock = [...shown.clock, { at, step: frame.step }];
  while (clock.length > 2 && at - clock[0]!.at > SPEED_MS) clock.shift();
  return { ...shown, now: frame, start: shown.start ?? frame, clock };
}

/** Steps a second by the page's clock, pictures and all. */
export function speedOf({ clock }: Shown): number | undefined {
  const [first, last] = [clock[0], clock.at(-1)];
  return first && last && last.at > first.at ? (1000 * (last.step - first.step)) / (last.at - first.at) : undefined;
}
