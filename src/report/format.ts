/** Numbers and ranges as text, the same in the terminal, on axes and on the page. */
import type { Cell, Claim, Verdict } from "../experiment/record.ts";

const SUPERSCRIPTS: Record<string, string> = {
  "-": "⁻",
  "0": "⁰",
  "1": "¹",
  "2": "²",
  "3": "³",
  "4": "⁴",
  "5": "⁵",
  "6": "⁶",
  "7": "⁷",
  "8": "⁸",
  "9": "⁹",
};

/**
 * A number to `digits` significant digits without trailing zeros; scientific (`1.2e-7`) outside 10⁻³..10⁶.
 * Integers below 10⁶ keep all their digits: a depth of 16384 is not 16380.
 */
export function formatNumber(value: number, digits = 4): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "not a number" : value > 0 ? "∞" : "-∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return String(value);
  if (size >= 1e-3 && size < 1e6) return String(Number(value.toPrecision(digits)));
  return value
    .toExponential(digits - 1)
    .replace(/\.?0+e/, "e")
    .replace("e+", "e");
}

/** `base` to an integer power with Unicode superscripts: 10⁻³. */
export function formatPower(base: number, exponent: number): string {
  return base + [...String(exponent)].map((character) => SUPERSCRIPTS[character] ?? character).join("");
}

export function formatCell(cell: Cell): string {
  if (typeof cell === "number") return formatNumber(cell);
  return cell === null ? "none" : String(cell);
}

/**
 * `-1.003 ± 0.012` where the interval is symmetric to the digits shown, otherwise `-1.003 [-1.02, -0.95]`.
 * The last digit shown is that of the interval's second significant digit.
 */
export function formatMeasured(measured: number | null, interval?: readonly [number, number]): string {
  if (measured === null || !Number.isFinite(measured)) return "no number";
  if (interval === undefined) return formatNumber(measured);
  const [lower, upper] = interval;
  const half = (upper - lower) / 2;
  if (!Number.isFinite(half)) return `${formatNumber(measured)} [${formatNumber(lower)}, ${formatNumber(upper)}]`;
  if (half === 0 && lower === measured) return formatNumber(measured);
  const halfText = formatNumber(half, 2);
  const reach = Math.floor(Math.log10(Math.max(Math.abs(measured), half))) - Math.floor(Math.log10(half));
  const digits = Math.min(10, Math.max(2, reach + 2));
  const off = Math.abs((upper + lower) / 2 - measured);
  if (off <= 0.05 * half) return `${formatNumber(measured, digits)} ± ${halfText}`;
  return `${formatNumber(measured, digits)} [${formatNumber(lower, digits)}, ${formatNumber(upper, digits)}]`;
}

/** `-1.1 to -0.9`, `at least 0.5`, `at most 0.1`, `exactly 0`. */
export function formatRange(passes: Claim["passes"]): string {
  const { min, max } = passes;
  if (min !== undefined && max !== undefined) {
    return min === max ? `exactly ${formatNumber(min)}` : `${formatNumber(min)} to ${formatNumber(max)}`;
  }
  if (min !== undefined) return `at least ${formatNumber(min)}`;
  return max === undefined ? "any" : `at most ${formatNumber(max)}`;
}

/** Wall time: `0.4 s`, `12 s`, `3 min 20 s`, `1 h 5 min`. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "unknown time";
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function countVerdicts(claims: readonly Claim[]): { holds: number; fails: number; open: number } {
  const count = (verdict: Verdict): number => claims.filter((claim) => claim.verdict === verdict).length;
  return { holds: count("holds"), fails: count("fails"), open: count("not decided") };
}

/** `5 claims: 3 hold, 1 fails, 1 not decided`. */
export function tallyText(claims: readonly Claim[]): string {
  if (claims.length === 0) return "no claims";
  const { holds, fails, open } = countVerdicts(claims);
  return `${claims.length} claim${claims.length === 1 ? "" : "s"}: ${holds} ${holds === 1 ? "holds" : "hold"}, ${fails} ${fails === 1 ? "fails" : "fail"}, ${open} not decided`;
}
