/** Runs of one experiment against each other: claims, configurations, environments, curves. Pure. */
import type { Axis, Cell, Claim, Figure, RunRecord, Table } from "../experiment/record.ts";
import { flattenFacts } from "./html.ts";

export interface ComparedRun {
  /** Short and unique among the runs. */
  readonly label: string;
  readonly record: RunRecord;
}

/** A claim of one of the runs beside that of the first. */
export interface ClaimSide {
  readonly claim: Claim;
  /** `measured` minus that of the first run; absent where either has no number, and of the first run itself. */
  readonly difference?: number;
  /** Whether the confidence intervals have a number in common; absent where either has none. */
  readonly overlap?: boolean;
}

export interface ComparedClaim {
  readonly id: string;
  /** In the order of the runs; null where a run does not make the claim. */
  readonly sides: readonly (ClaimSide | null)[];
  readonly sameVerdict: boolean;
  /** Every run that makes the claim lets the same numbers pass. */
  readonly sameRange: boolean;
}

/** A fact in the order of the runs; null where a run does not state it. */
export interface ComparedFact {
  readonly fact: string;
  readonly values: readonly (string | null)[];
  readonly same: boolean;
}

/** A figure of the runs: on common axes, or, where their tables or axes differ, one below the other. */
export interface ComparedFigure {
  readonly name: string;
  readonly together: boolean;
  readonly parts: readonly { readonly label?: string; readonly figure: Figure; readonly table: Table }[];
  /** Labels of the runs without it. */
  readonly missing: readonly string[];
}

export interface Comparison {
  readonly experiment: string;
  readonly title: string;
  readonly runs: readonly {
    readonly label: string;
    readonly preset: string;
    readonly status: RunRecord["status"];
    readonly seconds: number;
    readonly command: string;
  }[];
  readonly claims: readonly ComparedClaim[];
  readonly config: readonly ComparedFact[];
  readonly environment: readonly ComparedFact[];
  readonly figures: readonly ComparedFigure[];
}

/**
 * Claims are matched by their id, figures by their name.
 * @param runs at least one, of one experiment
 */
export function compareRuns(runs: readonly ComparedRun[]): Comparison {
  const [first] = runs;
  return {
    experiment: first!.record.experiment,
    title: first!.record.title,
    runs: runs.map(({ label, record: { preset, status, seconds, command } }) => ({
      label,
      preset,
      status,
      seconds,
      command,
    })),
    claims: distinct(runs.flatMap(({ record }) => record.claims.map(({ id }) => id))).map((id) =>
      comparedClaim(id, runs),
    ),
    config: comparedFacts(runs.map(({ record }) => record.config)),
    environment: comparedFacts(runs.map(({ record }) => record.environment)),
    figures: distinct(runs.flatMap(({ record }) => record.figures.map(({ name }) => name))).map((name) =>
      comparedFigure(name, runs),
    ),
  };
}

/** The comparison without the figures' tables, for other programs. */
export function comparisonJson({ figures, ...comparison }: Comparison): unknown {
  return {
    ...comparison,
    figures: figures.map(({ name, together, missing }) => ({ name, together, missing })),
  };
}

function comparedClaim(id: string, runs: readonly ComparedRun[]): ComparedClaim {
  const claims = runs.map(({ record }) => record.claims.find((claim) => claim.id === id));
  const [first] = claims;
  const there = claims.filter((claim) => claim !== undefined);
  return {
    id,
    sides: claims.map((claim, i) => {
      if (claim === undefined) return null;
      return i === 0 ? { claim } : { claim, ...against(first, claim) };
    }),
    sameVerdict: allSame(there.map(({ verdict }) => verdict)),
    sameRange: allSame(there.map(({ passes: { min, max } }) => `${min} ${max}`)),
  };
}

function against(first: Claim | undefined, claim: Claim): Omit<ClaimSide, "claim"> {
  if (first === undefined || first.measured === null || claim.measured === null) return {};
  const [a, b] = [first.interval, claim.interval];
  const overlap = a && b ? { overlap: a[0] <= b[1] && b[0] <= a[1] } : {};
  return { difference: claim.measured - first.measured, ...overlap };
}

function comparedFacts(all: readonly Record<string, unknown>[]): ComparedFact[] {
  const facts = all.map((record) => new Map(flattenFacts(record)));
  return distinct(facts.flatMap((record) => [...record.keys()])).map((fact) => {
    const values = facts.map((record) => record.get(fact) ?? null);
    return { fact, values, same: allSame(values) };
  });
}

function comparedFigure(name: string, runs: readonly ComparedRun[]): ComparedFigure {
  const parts = runs.flatMap(({ label, record }) => {
    const figure = record.figures.find((candidate) => candidate.name === name);
    const table = record.tables.find((candidate) => candidate.name === figure?.table);
    return figure && table ? [{ label, figure, table }] : [];
  });
  const missing = runs.map(({ label }) => label).filter((label) => !parts.some((part) => part.label === label));
  const alike = parts.length > 1 && allSame(parts.map(({ figure }) => JSON.stringify(drawnFields(figure))));
  const placed = alike ? withRuns(parts[0]!.figure) : undefined;
  if (placed === undefined) return { name, together: false, parts, missing };
  return { name, together: true, parts: [{ figure: placed, table: allRows(parts, placed) }], missing };
}

/** What must agree for common axes. */
function drawnFields({ kind, table, x, y, color, dash, columnFacet, rowFacet, interval, pointLabel }: Figure): unknown {
  const axes = [x, y, color, dash, columnFacet, rowFacet].map((axis) => [axis?.field, axis?.scale]);
  return [kind, table, axes, interval, pointLabel];
}

/** Column that tells the runs apart. */
const RUN = "compared run";

/**
 * The figure with the runs in it: a figure of one series has them as series, one without panels a column of panels for
 * each, one with columns a row for each. Undefined where rows and columns are taken.
 */
function withRuns({ where: _, ...figure }: Figure): Figure | undefined {
  const run: Axis = { field: RUN, label: "run", scale: "ordinal" };
  if (figure.columnFacet !== undefined) return figure.rowFacet === undefined ? { ...figure, rowFacet: run } : undefined;
  if (figure.rowFacet !== undefined) return { ...figure, columnFacet: run };
  if (figure.color === undefined) return { ...figure, color: run };
  return { ...figure, columnFacet: run };
}

/** The rows that each run's own figure draws, with its label. */
function allRows(
  parts: readonly { readonly label: string; readonly figure: Figure; readonly table: Table }[],
  { table: name }: Figure,
): Table {
  const { table: first } = parts[0]!;
  return {
    name,
    description: first.description,
    columns: [...first.columns, { name: RUN, description: "directory of the run" }],
    rows: parts.flatMap(({ label, figure: { where = {} }, table }) =>
      table.rows
        .filter((row) => Object.entries(where).every(([field, value]) => row[field] === value))
        .map((row): Record<string, Cell> => ({ ...row, [RUN]: label })),
    ),
  };
}

function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

function allSame(values: readonly unknown[]): boolean {
  return new Set(values).size <= 1;
}
