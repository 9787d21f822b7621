/** Two records of the benchmark against each other: what became slower, by more than their spreads. Pure. */
import type { Cell, RunRecord, Table } from "../experiment/record.ts";

export type ChangeVerdict = "slower" | "faster" | "same within spread" | "no spread" | "only before" | "only after";

export interface Measured {
  readonly value: number;
  /** Quartiles; absent for single measurements. */
  readonly spread?: readonly [lower: number, upper: number];
}

/** A number of a table, by the row it stands in. */
export interface Change {
  readonly table: string;
  /** What the row is about, e.g. `dense/rows_forward, q = 16`. */
  readonly row: string;
  readonly unit: string;
  readonly before?: Measured;
  readonly after?: Measured;
  /** Time after over time before, for rates the inverse: above 1 is slower. Null without both. */
  readonly ratio: number | null;
  /**
   * Slower or faster only when the spreads, lower to upper, do not overlap. `no spread`: a single measurement on one side,
   * which decides nothing.
   */
  readonly verdict: ChangeVerdict;
}

/** A fact in which the two runs differ. */
export interface FactChange {
  readonly fact: string;
  readonly before: string;
  readonly after: string;
}

export interface Comparison {
  readonly facts: readonly FactChange[];
  /** The facts say that other hardware or another driver was measured: the ratios are not about the code alone. */
  readonly sameDevice: boolean;
  /** In the order of the tables of `after`. */
  readonly changes: readonly Change[];
}

interface Rule {
  /** Columns that name a row. */
  readonly key: readonly string[];
  readonly value: string;
}

/** What is compared of each table; a table that is not here holds no times. */
const RULES: Readonly<Record<string, Rule>> = {
  ceilings: { key: ["ceiling"], value: "value" },
  kernels: { key: ["kernel", "variant", "shape"], value: "median" },
  "step-depth": { key: ["depth"], value: "median" },
  "step-width": { key: ["width"], value: "median" },
  "step-batch": { key: ["batch"], value: "median" },
  "time-to-claim": { key: ["experiment", "preset"], value: "wall" },
  "ode-solves": { key: ["method", "steps", "trajectories"], value: "median" },
  "ode-gradients": { key: ["method", "steps", "trajectories"], value: "ratio" },
  peers: { key: ["depth", "peer"], value: "median" },
  "ode-peers": { key: ["contest", "trajectories", "peer", "method"], value: "median" },
};

/** Facts of the stamp that make it another device when they differ. */
const DEVICE_FACTS = ["adapter", "driver", "processor", "flags"];

/**
 * Matches rows of the same table by what they measure and takes the ratio of their times. Rows in one record only are
 * listed as such; rows without a number on both sides are left out.
 */
export function compareRecords(before: RunRecord, after: RunRecord): Comparison {
  const facts = factChanges(before, after);
  const tables = [...new Set([...after.tables, ...before.tables].map(({ name }) => name))];
  return {
    facts,
    sameDevice: !facts.some(({ fact }) => DEVICE_FACTS.includes(fact)),
    changes: tables.flatMap((name) => {
      const rule = RULES[name];
      return rule === undefined ? [] : tableChanges(name, rule, before, after);
    }),
  };
}

/** The rows that became slower by more than the spreads. */
export function regressions({ changes }: Comparison): Change[] {
  return changes.filter(({ verdict }) => verdict === "slower");
}

function factChanges(before: RunRecord, after: RunRecord): FactChange[] {
  const [old, now] = [stampOf(before), stampOf(after)];
  return [...new Set([...Object.keys(old), ...Object.keys(now)])].flatMap((fact) => {
    const change = { fact, before: old[fact] ?? "unknown", after: now[fact] ?? "unknown" };
    return change.before === change.after ? [] : [change];
  });
}

/** The stamp, and what was asked of the suites: other sizes or fewer samples make other numbers. */
function stampOf({ environment, preset }: RunRecord): Record<string, string> {
  const { stamp } = environment;
  const facts = stamp !== null && typeof stamp === "object" ? Object.entries(stamp) : [];
  return { ...Object.fromEntries(facts.map(([fact, value]) => [fact, String(value)])), preset };
}

function tableChanges(name: string, rule: Rule, before: RunRecord, after: RunRecord): Change[] {
  const [old, now] = [before, after].map((record) =>
    measuredRows(
      record.tables.find((table) => table.name === name),
      rule,
    ),
  ) as [Map<string, MeasuredRow>, Map<string, MeasuredRow>];
  return [...new Set([...now.keys(), ...old.keys()])].map((row) => change(name, row, old.get(row), now.get(row)));
}

interface MeasuredRow extends Measured {
  readonly unit: string;
}

function measuredRows(table: Table | undefined, { key, value }: Rule): Map<string, MeasuredRow> {
  const rows = new Map<string, MeasuredRow>();
  const column = table?.columns.find(({ name }) => name === value);
  for (const row of table?.rows ?? []) {
    const number = row[value];
    if (!positive(number)) continue;
    const { lower, upper } = row;
    const unit = typeof row.unit === "string" ? row.unit : (column?.unit ?? "");
    rows.set(rowName(key, row), {
      value: number,
      unit,
      ...(positive(lower) && positive(upper) && { spread: [lower, upper] as const }),
    });
  }
  return rows;
}

/** Words as they are, numbers with the name of their column. */
function rowName(key: readonly string[], row: Record<string, Cell>): string {
  return key
    .flatMap((column) => {
      const cell = row[column];
      if (cell === null || cell === undefined || cell === "") return [];
      return [typeof cell === "number" ? `${column} ${cell}` : String(cell)];
    })
    .join(", ");
}

function change(table: string, row: string, before: MeasuredRow | undefined, after: MeasuredRow | undefined): Change {
  const unit = (after ?? before)!.unit;
  const sides = {
    ...(before !== undefined && { before: measured(before) }),
    ...(after !== undefined && { after: measured(after) }),
  };
  const common = { table, row, unit, ...sides };
  if (before === undefined || after === undefined)
    return { ...common, ratio: null, verdict: after === undefined ? "only before" : "only after" };
  const rate = unit.endsWith("/s");
  const ratio = rate ? before.value / after.value : after.value / before.value;
  return { ...common, ratio, verdict: verdict(before, after, rate) };
}

function measured({ value, spread }: MeasuredRow): Measured {
  return spread === undefined ? { value } : { value, spread };
}

function verdict({ spread: old }: Measured, { spread: now }: Measured, rate: boolean): ChangeVerdict {
  if (old === undefined || now === undefined) return "no spread";
  if (now[0] > old[1]) return rate ? "faster" : "slower";
  if (now[1] < old[0]) return rate ? "slower" : "faster";
  return "same within spread";
}

function positive(cell: Cell | undefined): cell is number {
  return typeof cell === "number" && Number.isFinite(cell) && cell > 0;
}
