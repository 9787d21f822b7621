/**
 * What an experiment hands over: numbers with units, what to draw from them, and the claims they decide.
 * Plain data: the report room turns it into files, and any other program can read it.
 */

export type Cell = number | string | boolean | null;

export interface Column {
  readonly name: string;
  /** Unit or symbol shown in headers, e.g. "s", "rows", "‖·‖_F". Absent: dimensionless. */
  readonly unit?: string;
  readonly description: string;
}

/** One CSV and one JSON-lines file in the run's directory. */
export interface Table {
  /** File stem, kebab-case. */
  readonly name: string;
  readonly description: string;
  readonly columns: readonly Column[];
  readonly rows: Record<string, Cell>[];
}

export interface Axis {
  /** Column of the table. */
  readonly field: string;
  readonly label: string;
  readonly scale?: "linear" | "log" | "log2" | "symlog" | "ordinal";
}

export interface RoofLine {
  readonly value: number;
  readonly label: string;
}

/** What to draw from a table, not how. */
export interface Figure {
  /** File stem, kebab-case. */
  readonly name: string;
  readonly title: string;
  /** A sentence or two that a reader of the page needs to read the figure. */
  readonly caption: string;
  readonly table: string;
  /**
   * `line`: lines with points where there are few; `box`: x is ordinal, a box from quartile to quartile with the median, whiskers to
   * the least and the largest; `heatmap`: x and y are ordinal, `color` is the value on a colour scale.
   */
  readonly kind: "line" | "point" | "box" | "heatmap";
  readonly x: Axis;
  readonly y: Axis;
  /** Column that splits into series (line, point: categorical unless `sequential`) or gives the colour (heatmap). */
  readonly color?: Axis & { readonly sequential?: boolean };
  /** Column that sets the dash pattern or point shape of a series. */
  readonly dash?: Axis;
  /** Columns that split into small panels. */
  readonly columnFacet?: Axis;
  readonly rowFacet?: Axis;
  /** Lower and upper columns of a band or error bar around y. */
  readonly interval?: readonly [string, string];
  /** Straight guide lines of given slope on log–log axes, drawn through the first point's level. */
  readonly guides?: readonly { readonly slope: number; readonly label: string }[];
  /**
   * Limits that no point should pass, on log–log axes: rising lines y = value · x and level lines y = value. Each is drawn
   * until it meets the highest of the other kind, and labelled. A roofline: x in operations per byte, y in GFLOP/s, rising
   * the bandwidths in GB/s, level the peaks in GFLOP/s. The axes are widened to show them.
   */
  readonly roof?: { readonly rising: readonly RoofLine[]; readonly level: readonly RoofLine[] };
  /** Column whose text is written beside each point, as far as there is room (`point` on log–log axes). */
  readonly pointLabel?: string;
  /** Only rows where each named column equals the given value are drawn. */
  readonly where?: Record<string, Cell>;
}

export type Verdict = "holds" | "fails" | "not decided";

export interface Claim {
  readonly id: string;
  readonly statement: string;
  /** Proposition or figure of the paper, or "measured for this project". */
  readonly source: string;
  readonly measured: number | null;
  /** Confidence interval of `measured`. */
  readonly interval?: readonly [number, number];
  readonly confidence?: number;
  /** Range of `measured` that passes; an absent end is open. */
  readonly passes: { readonly min?: number; readonly max?: number };
  readonly verdict: Verdict;
  readonly note?: string;
}

/** `failed`: a part of the run ended in an error, which `statusDetail` names; the other parts are in the record. */
export type RunStatus = "done" | "diverged" | "cancelled" | "device_lost" | "out_of_memory" | "failed";

/** A part of a run with tables to read on the page itself. */
export interface Section {
  /** Word for links, kebab-case. */
  readonly name: string;
  readonly title: string;
  /** Names of the record's tables and figures. */
  readonly tables: readonly string[];
  readonly figures: readonly string[];
  readonly notes: readonly string[];
}

export interface RunRecord {
  readonly experiment: string;
  readonly title: string;
  /** A paragraph for a reader who knows the field but not this run. */
  readonly summary: string;
  readonly preset: string;
  readonly status: RunStatus;
  /** One line on why, when `status` is not `done`. */
  readonly statusDetail?: string;
  readonly config: Record<string, unknown>;
  readonly environment: Record<string, unknown>;
  readonly tables: readonly Table[];
  readonly figures: readonly Figure[];
  readonly claims: readonly Claim[];
  /** What a reader should know before quoting a number: reductions, departures from the paper. */
  readonly notes: readonly string[];
  /** Parts of the run, in order, where it has such. */
  readonly sections?: readonly Section[];
  /** Wall time in seconds. */
  readonly seconds: number;
  /** Command line that makes this run again. */
  readonly command: string;
}
