import {
  type Change,
  type ChangeVerdict,
  type Comparison,
  compareRecords,
  regressions,
} from "../../benchmark/compare.ts";
import { ConfigError, DataError } from "../../config/errors.ts";
import type { RunRecord } from "../../experiment/record.ts";
import { formatNumber } from "../../report/format.ts";
import { wrap } from "../../report/text.ts";
import type { BenchOptions } from "../bench_settings.ts";
import { EXIT } from "../exit_code.ts";
import { columnsText, widthOf } from "../terminal.ts";

/**
 * `deeplimit bench --compare BEFORE AFTER`: what became slower or faster by more than the spreads.
 * @returns the exit code: 1 for a regression where `--fail-on-regression` asks for it
 * @throws ConfigError when there are not two records of `deeplimit bench`
 */
export async function compare(options: BenchOptions): Promise<number> {
  const { compare: paths = [], json, failOnRegression } = options;
  if (paths.length !== 2)
    throw new ConfigError("--compare", `must name two records of deeplimit bench, got ${paths.length}`);
  const [before, after] = [await readBenchmark(paths[0]!), await readBenchmark(paths[1]!)];
  const comparison = compareRecords(before, after);
  const out = process.stdout;
  out.write(json ? `${JSON.stringify(comparison, null, 2)}\n` : `${comparisonText(comparison, widthOf(out))}\n`);
  return failOnRegression && regressions(comparison).length > 0 ? EXIT.failure : EXIT.ok;
}

async function readBenchmark(path: string): Promise<RunRecord> {
  // With the writer comes Vega, which takes half a second to load.
  const { readRecordFile } = await import("../../report/write.ts");
  let record: RunRecord;
  try {
    record = await readRecordFile(path);
  } catch (error) {
    if (error instanceof DataError)
      throw new ConfigError("--compare", `needs records of deeplimit bench: ${error.message}`);
    throw error;
  }
  if (record.experiment !== "bench")
    throw new ConfigError("--compare", `needs records of deeplimit bench: ${path} is one of ${record.experiment}`);
  return record;
}

/** What matters first: regressions, the largest on top. */
const ORDER: readonly ChangeVerdict[] = [
  "slower",
  "faster",
  "no spread",
  "same within spread",
  "only before",
  "only after",
];

function comparisonText({ facts, sameDevice, changes }: Comparison, width: number): string {
  const sorted = changes.toSorted(
    (a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict) || (b.ratio ?? 0) - (a.ratio ?? 0),
  );
  const rows = sorted.map((change) => [
    change.ratio === null ? "–" : change.ratio.toFixed(2),
    measuredText(change.before, change.unit),
    measuredText(change.after, change.unit),
    change.verdict,
    `${change.table}: ${change.row}`,
  ]);
  const columns = [
    { header: "ratio", align: "right" as const },
    { header: "before", align: "right" as const },
    { header: "after", align: "right" as const },
    { header: "verdict" },
    { header: "of" },
  ];
  return [
    ...(facts.length === 0 ? [] : ["The runs differ in", ...facts.flatMap((fact) => factLines(fact, width)), ""]),
    ...(sameDevice ? [] : [...wrap(OTHER_DEVICE, width), ""]),
    ...(rows.length === 0 ? [] : [columnsText(columns, rows, Number.POSITIVE_INFINITY), ""]),
    ...wrap(`Ratio: time after over time before, above 1 is slower. ${countsText(changes)}`, width),
  ].join("\n");
}

const OTHER_DEVICE = "Another device, driver or processor was measured: the ratios are not about the code alone.";

function factLines({ fact, before, after }: Comparison["facts"][number], width: number): string[] {
  const column = 16;
  const lines = [...wrap(before, width - column), ...wrap(`→ ${after}`, width - column)];
  return lines.map((line, i) => (i === 0 ? `  ${fact}` : "").padEnd(column) + line);
}

function measuredText(measured: Change["before"], unit: string): string {
  if (measured === undefined) return "–";
  const [value, ...ends] = [measured.value, ...(measured.spread ?? [])].map((number) => formatNumber(number, 3));
  return `${value}${ends.length === 0 ? "" : ` [${ends.join(", ")}]`} ${unit}`.trimEnd();
}

function countsText(changes: readonly Change[]): string {
  const counts = ORDER.flatMap((verdict) => {
    const count = changes.filter((change) => change.verdict === verdict).length;
    return count === 0 ? [] : [`${count} ${verdict}`];
  });
  return counts.length === 0 ? "The records have no number in common." : `${counts.join(", ")}.`;
}
