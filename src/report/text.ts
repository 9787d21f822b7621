/** Claims for a terminal. */
import type { Claim, Verdict } from "../experiment/record.ts";
import { formatMeasured, formatRange } from "./format.ts";

const ANSI: Record<Verdict, string> = { holds: "\x1b[32m", fails: "\x1b[31m", "not decided": "\x1b[33m" };
const ANSI_END = "\x1b[0m";
const VERDICT_WIDTH = "not decided".length + 2;

export interface TextOptions {
  /** Columns of the terminal; lines are wrapped to it, but never below 40. */
  readonly width: number;
  readonly color: boolean;
}

/**
 * A block a claim: verdict, measured number with its interval, the range that passes; below it the statement, source and note.
 * Without `color` there is no escape sequence in the text.
 */
export function claimsText(claims: readonly Claim[], options: TextOptions): string {
  const width = Math.max(40, options.width);
  const measured = claims.map((claim) => measuredText(claim));
  const column = Math.min(Math.max(0, ...measured.map(length)) + 2, width - VERDICT_WIDTH);
  const indent = " ".repeat(VERDICT_WIDTH);
  return claims
    .map((claim, i) => {
      const verdict = claim.verdict.padEnd(VERDICT_WIDTH);
      const painted = options.color
        ? `${ANSI[claim.verdict]}${claim.verdict}${ANSI_END}${verdict.slice(claim.verdict.length)}`
        : verdict;
      const range = `passes ${formatRange(claim.passes)}`;
      const number = measured[i]! + " ".repeat(Math.max(0, column - length(measured[i]!)));
      const fits = VERDICT_WIDTH + length(number) + length(range) <= width;
      const first = fits
        ? [`${number}${range}`]
        : [...wrap(measured[i]!, width - VERDICT_WIDTH), ...wrap(range, width - VERDICT_WIDTH)];
      const body = [`${claim.statement} (${claim.source})`, ...(claim.note === undefined ? [] : [claim.note])];
      const lines = [...first, ...body.flatMap((text) => wrap(text, width - VERDICT_WIDTH))];
      return lines.map((line, k) => (k === 0 ? painted + line : indent + line).trimEnd()).join("\n");
    })
    .join("\n\n");
}

function measuredText(claim: Claim): string {
  const number = formatMeasured(claim.measured, claim.interval);
  return claim.interval === undefined || claim.confidence === undefined || claim.measured === null
    ? number
    : `${number} (${Number((claim.confidence * 100).toPrecision(4))} %)`;
}

/** Words into lines of at most `width` characters; a longer word is cut. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/).filter((part) => part !== "")) {
    let rest = word;
    if (line !== "" && length(line) + 1 + length(rest) <= width) {
      line += ` ${rest}`;
      continue;
    }
    if (line !== "") lines.push(line);
    while (length(rest) > width) {
      lines.push([...rest].slice(0, width).join(""));
      rest = [...rest].slice(width).join("");
    }
    line = rest;
  }
  if (line !== "") lines.push(line);
  return lines;
}

/** Characters, not UTF-16 units. */
function length(text: string): number {
  return [...text].length;
}
