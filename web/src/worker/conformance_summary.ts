import type { SolvedRow } from "../../../src/experiment/conformance/solves.ts";
import type { ConformanceResult, MethodRow } from "../gpu/protocol.ts";

/** The table by method: each held against its derived bounds. */
export function methodRows(rows: readonly SolvedRow[], failures: ReadonlyMap<string, number>): MethodRow[] {
  const methods = new Set([...rows.map(({ method }) => method as string), ...failures.keys()]);
  return [...methods].map((method) => {
    const own = rows.filter((row) => row.method === method);
    const failed = failures.get(method) ?? 0;
    const bounded = own.filter(({ firstOrder }) => firstOrder);
    const worst = bounded.reduce<SolvedRow | undefined>((a, b) => (a && share(a) >= share(b) ? a : b), undefined);
    const compared = own.filter(({ sameBits }) => sameBits !== null);
    const unfinished = own.filter(({ status }) => status !== "done").length + failed;
    const different = compared.filter(({ sameBits }) => !sameBits).length;
    const within = !worst || share(worst) <= 1;
    return {
      method,
      order: own[0]?.order ?? Number.NaN,
      solves: own.length + failed,
      unfinished,
      worst: worst ? share(worst) : null,
      worstWhere: worst
        ? `${worst.problem}${worst.tolerance === null ? "" : ` at ${worst.tolerance.toExponential(0)}`}`
        : "",
      detest: largest(own.filter(({ detest, tolerance }) => detest && tolerance !== null)),
      compared: compared.length,
      different,
      verdict: unfinished > 0 || different > 0 || !within ? "fails" : worst ? "holds" : "not decided",
    };
  });
}

export function detestTable(rows: readonly SolvedRow[]): ConformanceResult["detest"] {
  const table: Record<string, Record<string, number>> = {};
  for (const row of rows) {
    if (!row.detest || row.tolerance === null) continue;
    table[row.problem] ??= {};
    table[row.problem]![row.method] = Math.max(table[row.problem]![row.method] ?? 0, overTolerance(row));
  }
  return table;
}

/** Error over its bound; one that is not a number is the largest. */
function share({ tolerance, error, bound, difference, roundingBound }: SolvedRow): number {
  const value = tolerance === null ? difference / roundingBound : error / bound!;
  return Number.isNaN(value) ? Number.POSITIVE_INFINITY : value;
}

function overTolerance({ error, tolerance }: SolvedRow): number {
  const value = error / tolerance!;
  return Number.isNaN(value) ? Number.POSITIVE_INFINITY : value;
}

function largest(rows: readonly SolvedRow[]): number | null {
  return rows.length === 0 ? null : Math.max(...rows.map(overTolerance));
}
