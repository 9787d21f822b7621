import type { Picture, Range, View } from "../ensembles/protocol.ts";

/** Of the points, at each end of an axis, that may lie outside the picture: one that flies off must not shrink the rest. */
const OUTSIDE = 0.003;
/** Points that the axes are fitted to. */
const SAMPLE = 4000;
const AIR = 0.06;
/** Axes that show this many times what is there are fitted anew. */
const TOO_WIDE = 3;
/** Few points are drawn this wide, so that they can be seen. */
const WIDE_BELOW: readonly (readonly [points: number, pixels: number])[] = [
  [500, 3],
  [5000, 2],
];
/** Less than this part of a point is not drawn. */
const FAINTEST = 0.01;
/** Steps of the colours, which follow 1 − exp(−level / LEVELS_PER_UNIT). */
const LEVELS = 1024;
const LEVELS_PER_UNIT = 128;

/** Pictures of points by their density, which fades from one to the next; axes follow the points. */
export class DensityPicture {
  #density = new Float32Array(0);
  #axes: { readonly x: Range; readonly y: Range } | undefined;
  #view: View | undefined;

  /** The next picture is fitted anew and holds nothing of earlier ones. */
  forget(): void {
    this.#axes = undefined;
    this.#density.fill(0);
  }

  /**
   * @param states [points, dimension]
   * @returns undefined for a view without pixels, and until there is a point to fit the axes to
   */
  draw(states: Float32Array, dimension: number, view: View): Picture | undefined {
    const { x, y, width, height } = view;
    if (width * height === 0) return undefined;
    if (x !== this.#view?.x || y !== this.#view.y) this.#axes = undefined;
    this.#view = view;
    const found = { x: fitted(states, dimension, x, this.#axes?.x), y: fitted(states, dimension, y, this.#axes?.y) };
    if (!found.x || !found.y) return undefined;
    const axes = { x: found.x, y: found.y };
    if (this.#density.length !== width * height) this.#density = new Float32Array(width * height);
    else if (axes.x !== this.#axes?.x || axes.y !== this.#axes.y) this.#density.fill(0);
    else for (let i = 0; i < this.#density.length; i++) this.#density[i]! *= view.trail;
    this.#axes = axes;
    this.#add(states, dimension, view, axes);
    return { pixels: colour(this.#density, view.colours), width, height, ...axes };
  }

  #add(
    states: Float32Array,
    dimension: number,
    { x, y, width, height }: View,
    axes: { readonly x: Range; readonly y: Range },
  ): void {
    const density = this.#density;
    const points = states.length / dimension;
    const size = WIDE_BELOW.find(([most]) => points < most)?.[1] ?? 1;
    const across = width / (axes.x[1] - axes.x[0]);
    const down = height / (axes.y[1] - axes.y[0]);
    for (let j = 0; j < points; j++) {
      const left = Math.floor((states[j * dimension + x]! - axes.x[0]) * across) - (size >> 1);
      const top = Math.floor((axes.y[1] - states[j * dimension + y]!) * down) - (size >> 1);
      if (!(left >= 0 && left + size <= width && top >= 0 && top + size <= height)) continue;
      for (let row = 0; row < size; row++)
        for (let column = 0; column < size; column++) density[(top + row) * width + left + column]! += 1;
    }
  }
}

/** An axis that shows almost all points: the one before while it does. */
function fitted(
  states: Float32Array,
  dimension: number,
  component: number,
  before: Range | undefined,
): Range | undefined {
  const points = states.length / dimension;
  const stride = Math.max(1, Math.floor(points / SAMPLE));
  const sample: number[] = [];
  for (let j = 0; j < points; j += stride) {
    const value = states[j * dimension + component]!;
    if (Number.isFinite(value)) sample.push(value);
  }
  if (sample.length === 0) return before;
  const sorted = Float32Array.from(sample).sort();
  const cut = Math.floor(OUTSIDE * sorted.length);
  const [low, high] = [sorted[cut]!, sorted[sorted.length - 1 - cut]!];
  // Points that have all come together still have an axis of some length.
  const span = Math.max(high - low, 1e-3 * Math.max(Math.abs(low), Math.abs(high)), 1e-6);
  const wanted: Range = [low - AIR * span, high + AIR * span];
  if (!before || before[1] - before[0] > TOO_WIDE * (wanted[1] - wanted[0])) return wanted;
  if (low >= before[0] && high <= before[1]) return before;
  return [Math.min(before[0], wanted[0]), Math.max(before[1], wanted[1])];
}

/** Half way up the colours is the mean density of the pixels that hold anything. */
function colour(density: Float32Array, [none, few, many]: View["colours"]): Uint8ClampedArray<ArrayBuffer> {
  let sum = 0;
  let held = 0;
  for (const value of density) {
    if (value < FAINTEST) continue;
    sum += value;
    held++;
  }
  const rate = held > 0 ? (Math.LN2 * held) / sum : 0;
  const levels = new Uint8ClampedArray(4 * LEVELS);
  for (let level = 0; level < LEVELS; level++) {
    const share = 2 * (1 - Math.exp(-level / LEVELS_PER_UNIT));
    const [from, to, along] = share < 1 ? [none, few, share] : [few, many, share - 1];
    for (let i = 0; i < 3; i++) levels[4 * level + i] = from[i]! + along * (to[i]! - from[i]!);
    levels[4 * level + 3] = 255;
  }
  const words = new Uint32Array(levels.buffer);
  const pixels = new Uint32Array(density.length);
  const scale = rate * LEVELS_PER_UNIT;
  for (let i = 0; i < density.length; i++) {
    const value = density[i]!;
    pixels[i] = words[value < FAINTEST ? 0 : Math.min(LEVELS - 1, (scale * value) | 0)]!;
  }
  return new Uint8ClampedArray(pixels.buffer);
}
