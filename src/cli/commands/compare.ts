import { basename, resolve } from "node:path";
import { ConfigError } from "../../config/errors.ts";
import type { RunRecord } from "../../experiment/record.ts";
import {
  type ComparedClaim,
  type ComparedFact,
  type ComparedRun,
  type Comparison,
  compareRuns,
  comparisonJson,
} from "../../report/comparison.ts";
import { differenceText, verdictsText } from "../../report/comparison_page.ts";
import { formatMeasured, formatRange, formatSeconds } from "../../report/format.ts";
import { wrap } from "../../report/text.ts";
import { EXIT } from "../exit_code.ts";
import { readRun } from "../recorded_run.ts";
import { clip, columnsText, widthOf } from "../terminal.ts";

export interface CompareOptions {
  readonly out: string;
  readonly json?: boolean;
}

/** Longer names of directories are cut at their front, which they share more often than their end. */
const LONGEST_LABEL = 28;

/**
 * `deeplimit compare`: claims, curves, parameters and environments of runs side by side, on a page and in short at the terminal.
 * @returns the exit code
 * @throws ConfigError when there are not several runs of one experiment; DataError for a directory without a record
 */
export async function compare(paths: readonly string[], { out, json = false }: CompareOptions): Promise<number> {
  if (paths.length < 2) throw new ConfigError("directories", "must be at least two", paths.join(" "));
  if (!/\.html$/i.test(out)) throw new ConfigError("--out", "must end in .html", out);
  const records: RunRecord[] = [];
  for (const path of paths) records.push(await readRun(path));
  const bench = records.findIndex(({ experiment }) => experiment === "bench");
  if (bench >= 0)
    throw new ConfigError(paths[bench]!, "is a record of deeplimit bench; see deeplimit bench --compare BEFORE AFTER");
  const other = records.findIndex(({ experiment }) => experiment !== records[0]!.experiment);
  if (other >= 0)
    throw new ConfigError(
      "directories",
      `must be runs of one experiment; ${paths[0]} is one of ${records[0]!.experiment}, ${paths[other]} of ${records[other]!.experiment}`,
    );
  const labels = labelsOf(paths);
  const comparison = compareRuns(records.map((record, i): ComparedRun => ({ label: labels[i]!, record })));
  const { writeComparison } = await import("../../report/write.ts");
  for (const problem of await writeComparison(out, comparison)) process.stderr.write(`warning: ${problem}\n`);
  const text = json
    ? JSON.stringify(comparisonJson(comparison), null, 2)
    : `${comparisonText(comparison, widthOf(process.stdout))}\n\npage  ${out}`;
  process.stdout.write(`${text}\n`);
  return EXIT.ok;
}

/** Names of the directories, whole paths where the names alone are not unique. */
export function labelsOf(paths: readonly string[]): string[] {
  const unique = (labels: readonly string[]) => new Set(labels).size === labels.length;
  const short = (path: string) => (path.length <= LONGEST_LABEL ? path : `…${path.slice(1 - LONGEST_LABEL)}`);
  const names = paths.map((path) => short(basename(resolve(path))));
  if (unique(names)) return names;
  const whole = paths.map(short);
  return unique(whole) ? whole : whole.map((label, i) => `${i + 1}: ${label}`);
}

function comparisonText({ runs, claims, config, environment, figures }: Comparison, width: number): string {
  const labels = runs.map(({ label }) => label);
  const rows = runs.map(({ label, preset, status, seconds }) => [
    label,
    preset,
    status.replaceAll("_", " "),
    formatSeconds(seconds),
  ]);
  const columns = ["run", "preset", "outcome", "time"].map((header) => ({ header }));
  const together = figures.filter((figure) => figure.together).length;
  const curves = wrap(
    `${figures.length} ${figures.length === 1 ? "figure" : "figures"} on the page, ${together} of them on common axes.`,
    width,
  );
  return [
    columnsText(columns, rows, width),
    ...claims.flatMap((claim) => ["", ...claimLines(claim, labels, width)]),
    "",
    ...wrap(`In short: ${verdictsText(claims)}. Differences are from ${labels[0]}.`, width),
    ...curves,
    ...factLines("Parameters", config, labels, width),
    ...factLines("Environment", environment, labels, width),
  ].join("\n");
}

function claimLines(
  { id, sides, sameVerdict, sameRange }: ComparedClaim,
  labels: readonly string[],
  width: number,
): string[] {
  const { claim } = sides.find((side) => side !== null)!;
  const column = Math.max(...labels.map((label) => label.length));
  const range = sameRange ? `passes ${formatRange(claim.passes)}` : "other numbers pass in each";
  return [
    ...wrap(`${sameVerdict ? "" : "≠ "}${id} (${range}): ${claim.statement}`, width),
    ...sides.flatMap((side, i) => {
      const label = `  ${labels[i]!.padEnd(column)}  `;
      if (side === null) return [`${label}not claimed`];
      const parts = [
        side.claim.verdict.padEnd("not decided".length),
        formatMeasured(side.claim.measured, side.claim.interval),
        ...(sameRange ? [] : [`passes ${formatRange(side.claim.passes)}`]),
        ...[differenceText(side)].filter((text) => text !== ""),
      ];
      const [first = "", ...others] = wrapParts(parts, width - label.length);
      return [label + first, ...others.map((line) => " ".repeat(label.length) + line)];
    }),
  ];
}

/** Parts two spaces apart, on as few lines as they fit on. */
function wrapParts(parts: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const last = lines.at(-1);
    if (last !== undefined && [...last].length + 2 + [...part].length <= width)
      lines[lines.length - 1] = `${last}  ${part}`;
    else lines.push(part);
  }
  return lines.map((line) => line.trimEnd());
}

/** The facts that differ, a line a run. */
function factLines(title: string, facts: readonly ComparedFact[], labels: readonly string[], width: number): string[] {
  const different = facts.filter(({ same }) => !same);
  if (different.length === 0) return ["", `${title}: no difference`];
  const column = Math.max(...labels.map((label) => label.length)) + 4;
  return [
    "",
    `${title}: ${different.length} of ${facts.length} differ`,
    ...different.flatMap(({ fact, values }) => [
      `  ${fact}`,
      ...values.map((value, i) => `    ${labels[i]!.padEnd(column - 2)}${clip(value ?? "–", width - column - 2)}`),
    ]),
  ];
}
