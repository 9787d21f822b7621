/** Where the ticks of a scale stand and what they say: all decided here, so that a chart's spec holds plain lists. */
import type { Axis } from "../experiment/record.ts";
import { formatNumber, formatPower } from "./format.ts";

export interface Ticks {
  /** What the axis spans, data plus a little air. */
  readonly domain: readonly [number, number];
  readonly labelled: readonly { readonly value: number; readonly label: string }[];
  /** Grid lines without a label. */
  readonly minor: readonly number[];
}

const AIR = 0.03;
/** Minor ticks this near to an end of the axis would push the title away. */
const MINOR_MARGIN = 0.03;

/** Ticks of a linear scale: even steps of 1, 2 or 5 times a power of ten, the axis ending on ticks. */
export function linearTicks(low: number, high: number, maxLabels = 7): Ticks {
  const slack = high > low ? 0 : Math.abs(low) / 2 || 1;
  const step = niceStep((high - low + 2 * slack) / (maxLabels - 1));
  const first = Math.floor((low - slack) / step + 1e-9);
  const last = Math.ceil((high + slack) / step - 1e-9);
  const values = range(first, last).map((k) => Number((k * step).toPrecision(12)));
  const largest = Math.max(Math.abs(values[0]!), Math.abs(values.at(-1)!));
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const scientific = largest >= 1e7 || decimals > 5;
  const label = (value: number): string => {
    if (scientific) return value < 0 ? `-${shortLabel(-value)}` : shortLabel(value);
    return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  };
  return {
    domain: [values[0]!, values.at(-1)!],
    labelled: values.map((value) => ({ value, label: label(value) })),
    minor: [],
  };
}

/** Ticks of a logarithmic scale over positive data from `low` to `high`. */
export function logTicks(low: number, high: number, base: 2 | 10, maxLabels = 9, air = AIR): Ticks {
  const factor = high > low ? (high / low) ** air : 2;
  const domain: [number, number] = [low / factor, high * factor];
  const log = base === 2 ? Math.log2 : Math.log10;
  const first = Math.ceil(log(domain[0]) - 1e-9);
  const last = Math.floor(log(domain[1]) + 1e-9);
  const count = last - first + 1;

  if (count >= (base === 2 ? 2 : 3)) {
    const step = Math.ceil(count / maxLabels);
    const exponents = range(first, last).filter((exponent) => (exponent - first) % step === 0);
    const plain = powersArePlain(base, first, last);
    const labelled = exponents.map((exponent) => {
      const value = base ** exponent;
      return { value, label: plain ? formatNumber(value) : formatPower(base, exponent) };
    });
    return { domain, labelled, minor: minorTicks(domain, base, first, last, step) };
  }
  const labelled = niceValues(domain, base).map((value) => ({ value, label: shortLabel(value) }));
  return { domain, labelled, minor: [] };
}

/**
 * Ticks of a symmetric-log scale: zero and signed powers of ten. `constant` is where the scale turns from linear to logarithmic, taken as the
 * smallest size in the data, so that no value is flattened onto zero.
 */
export function symlogTicks(values: readonly number[]): Ticks & { readonly constant: number } {
  const sizes = values.map(Math.abs).filter((size) => size > 0);
  const constant = sizes.length > 0 ? sizes.reduce((a, b) => Math.min(a, b)) : 1;
  const low = values.reduce((a, b) => Math.min(a, b), 0);
  const high = values.reduce((a, b) => Math.max(a, b), 0);
  const domain: [number, number] = low === high ? [-1, 1] : [low * 1.2, high * 1.2];
  const largest = Math.max(-domain[0], domain[1]);
  const exponents = range(Math.ceil(Math.log10(constant) - 1e-9), Math.floor(Math.log10(largest) + 1e-9));
  // The first power stands within a label's height of zero.
  if (exponents.length > 2) exponents.shift();
  const step = Math.max(1, Math.ceil(exponents.length / 4));
  const kept = exponents.filter((_, i) => (exponents.length - 1 - i) % step === 0);
  const signed = kept.flatMap((exponent) => [
    { value: 10 ** exponent, label: formatPower(10, exponent) },
    { value: -(10 ** exponent), label: `-${formatPower(10, exponent)}` },
  ]);
  const labelled = [{ value: 0, label: "0" }, ...signed].filter(
    ({ value }) => value >= domain[0] && value <= domain[1],
  );
  return { domain, labelled: labelled.sort((a, b) => a.value - b.value), minor: [], constant };
}

export function isLog(scale: Axis["scale"]): scale is "log" | "log2" {
  return scale === "log" || scale === "log2";
}

function powersArePlain(base: 2 | 10, first: number, last: number): boolean {
  return base === 2 ? first >= 0 && last <= 16 : first >= -3 && last <= 4;
}

function minorTicks(
  domain: readonly [number, number],
  base: 2 | 10,
  first: number,
  last: number,
  step: number,
): number[] {
  const skipped = range(first, last).filter((exponent) => (exponent - first) % step !== 0);
  if (step > 1) return skipped.map((exponent) => base ** exponent);
  if (base === 2 || last - first > 3) return [];
  const margin = (domain[1] / domain[0]) ** MINOR_MARGIN;
  return range(first - 1, last)
    .flatMap((exponent) => [2, 3, 4, 5, 6, 7, 8, 9].map((digit) => digit * 10 ** exponent))
    .filter((value) => value > domain[0] * margin && value < domain[1] / margin);
}

/** Too few powers to read by: 1-2-5 steps over a decade or more, even steps below that. */
function niceValues(domain: readonly [number, number], base: 2 | 10): number[] {
  const [low, high] = domain;
  if (base === 10 && high / low >= 5) {
    return range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)))
      .flatMap((exponent) => [1, 2, 5].map((digit) => Number(`${digit}e${exponent}`)))
      .filter((value) => value >= low && value <= high);
  }
  const step = niceStep((high - low) / 5);
  return range(Math.ceil(low / step), Math.floor(high / step)).map((k) => Number((k * step).toPrecision(12)));
}

/** The smallest of 1, 2, 5 times a power of ten that is at least `raw`. */
function niceStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].find((digit) => digit * power >= raw * (1 - 1e-9))! * power;
}

function shortLabel(value: number): string {
  if (value === 0) return "0";
  const exponent = Math.floor(Math.log10(value) + 1e-9);
  if (exponent >= -3 && exponent <= 5) return formatNumber(value, 6);
  const digits = Number((value / 10 ** exponent).toPrecision(6));
  return digits === 1 ? formatPower(10, exponent) : `${digits}·${formatPower(10, exponent)}`;
}

function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
}
