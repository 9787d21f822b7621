/** Numbers of a training over time, for the charts and the CSV file: thinned out when they become many. */
import type { Frame } from "./protocol.ts";

const MOST = 2000;

export class History {
  #frames: Frame[] = [];
  #every = 1;
  #seen = 0;

  get frames(): readonly Frame[] {
    return this.#frames;
  }

  add(frame: Frame): void {
    const last = this.#frames.at(-1);
    if (last?.step === frame.step) {
      this.#frames[this.#frames.length - 1] = frame;
      return;
    }
    // The newest state is always the last one kept.
    if (last && (this.#seen - 1) % this.#every !== 0) this.#frames.pop();
    this.#frames.push(withoutEntries(frame));
    this.#seen++;
    if (this.#frames.length <= MOST) return;
    this.#frames = this.#frames.filter((_, i) => i % 2 === 0);
    this.#every *= 2;
  }

  forgetAfter(step: number): void {
    this.#frames = this.#frames.filter((frame) => frame.step <= step);
  }
}

const NO_NUMBERS = new Float64Array();

function withoutEntries(frame: Frame): Frame {
  return { ...frame, depths: NO_NUMBERS, entries: { V: NO_NUMBERS, W: NO_NUMBERS } };
}

export const CSV_COLUMNS = [
  "network",
  "step",
  "time",
  "loss",
  "lipschitz_V",
  "lipschitz_W",
  "roughness_V",
  "roughness_W",
  "distance_V",
  "distance_W",
  "step_ms",
] as const;

/** All histories as one CSV text; a number that there is not is an empty cell. */
export function csvOf(histories: readonly History[]): string {
  const rows = histories.flatMap((history, slot) =>
    history.frames.map(({ step, time, loss, lipschitz, roughness, distance, stepMs }) =>
      [
        "AB"[slot],
        step,
        time,
        loss,
        lipschitz.V,
        lipschitz.W,
        roughness.V,
        roughness.W,
        distance?.V,
        distance?.W,
        stepMs,
      ]
        .map((cell) => (cell === null || cell === undefined || Number.isNaN(cell) ? "" : String(cell)))
        .join(","),
    ),
  );
  return `${[CSV_COLUMNS.join(","), ...rows].join("\n")}\n`;
}
