/** What `deeplimit solve` reads: the field, and files of initial states, parameters and times. */
import { existsSync, readFileSync } from "node:fs";
import { basename, extname } from "node:path";
import { ConfigError, DataError } from "../config/errors.ts";
import type { UserField } from "../config/ode.ts";
import { type NumberTable, parseCsv } from "../data/csv.ts";
import { decodeNpy, isNpy } from "../data/npy.ts";
import { fieldHeader } from "../ode/field_source.ts";
import { FIELD_NAMES, FIELDS } from "../ode/fields.ts";
import { reasonOf } from "../report/files.ts";
import { nearest } from "./nearest.ts";

/** A right-hand side, built in or from a file, before its sizes are known. */
export interface ChosenField {
  readonly name: string;
  readonly source: string;
  /** Known of built-in fields, and of files whose head names them. */
  readonly components: readonly string[] | undefined;
  readonly parameters: readonly string[] | undefined;
  /** One a parameter; undefined where the file gives none. */
  readonly defaults: readonly (number | undefined)[];
  /** Usual initial state and span of a built-in field. */
  readonly initial: readonly number[] | undefined;
  readonly span: readonly [number, number] | undefined;
}

export interface SolveInputs {
  readonly field: UserField;
  readonly components: readonly string[];
  readonly parameterNames: readonly string[];
  readonly initial: Float32Array;
  readonly parameters: Float32Array;
  readonly start: number | Float32Array;
  readonly end: number | Float32Array;
  readonly rtol?: Float32Array;
  readonly atol?: Float32Array;
}

export interface InputOptions {
  readonly y0?: string;
  readonly params?: string;
  readonly t0?: string;
  readonly t1?: string;
}

/** Numbers of a trajectory that any file may have in a column of that name. */
const OWN_COLUMNS = ["t0", "t1", "rtol", "atol"] as const;
type OwnColumn = (typeof OWN_COLUMNS)[number];

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const LETTERS: Readonly<Record<string, string>> = {
  α: "alpha",
  β: "beta",
  γ: "gamma",
  δ: "delta",
  θ: "theta",
  λ: "lambda",
  μ: "mu",
  ρ: "rho",
  σ: "sigma",
  τ: "tau",
  ω: "omega",
};

/** @throws ConfigError with the nearest name; DataError for a file that cannot be read; FieldError for a head that cannot */
export function chooseField(name: string): ChosenField {
  const known = FIELD_NAMES.find((candidate) => candidate === name);
  if (known !== undefined) return { ...FIELDS[known], defaults: FIELDS[known].defaults };
  if (extname(name) !== ".wgsl") {
    const near = nearest(name, FIELD_NAMES);
    const hint = near === undefined ? "" : ` (did you mean ${near}?)`;
    throw new ConfigError("field", `must be a file ending in .wgsl, or one of ${FIELD_NAMES.join(", ")}${hint}`, name);
  }
  const source = readBytes(name)
    .toString("utf8")
    .replace(/^\ufeff/, "");
  const { components, parameters } = fieldHeader(source, name);
  return {
    name,
    source,
    components,
    parameters: parameters?.map((parameter) => parameter.name),
    defaults: parameters?.map(({ value }) => value) ?? [],
    initial: undefined,
    span: undefined,
  };
}

/**
 * Reads all files and brings them together: a file of one row stands for all trajectories.
 * @throws DataError naming file, line and column; ConfigError for what is missing or does not fit
 */
export function readInputs(chosen: ChosenField, options: InputOptions): SolveInputs {
  const states = options.y0 === undefined ? undefined : splitOwn(readTable(options.y0), chosen.components ?? []);
  const given = options.params === undefined ? undefined : splitOwn(readTable(options.params), chosen.parameters ?? []);
  if (!states && !chosen.initial)
    throw new ConfigError("--y0", `must name a file of initial states, a row a trajectory, for ${chosen.name}`);
  const components = chosen.components ?? states?.header ?? range(states!.columns, "y");
  const names = chosen.parameters ?? given?.header ?? range(given?.columns ?? 0, "p");

  const rows = new Map<string, number>();
  if (states) rows.set(states.file, states.rows);
  if (given) rows.set(given.file, given.rows);
  const times = (["t0", "t1"] as const).map((name) => {
    const text = options[name];
    if (text === undefined || NUMBER.test(text)) return text === undefined ? undefined : Number(text);
    if (!existsSync(text))
      throw new ConfigError(`--${name}`, "must be a number, or a file with one for each trajectory", text);
    const table = readTable(text);
    if (table.columns !== 1) throw new DataError(text, `must have 1 column, a time a trajectory, got ${table.columns}`);
    rows.set(text, table.rows);
    return { table };
  });
  const n = Math.max(1, ...rows.values());
  const longest = [...rows].find(([, count]) => count === n)?.[0];
  for (const [file, count] of rows)
    if (count !== n && count !== 1)
      throw new DataError(file, `must have 1 row, or ${n} as ${longest} has, got ${count}`);

  const own = (name: OwnColumn): Float32Array | undefined => {
    const found = [states, given].filter((table) => table?.own.has(name));
    if (found.length > 1)
      throw new DataError(found[1]!.file, `must not have column ${name}, as ${found[0]!.file} has it`);
    const column = found[0]?.own.get(name);
    return column && Float32Array.from({ length: n }, (_, j) => column[column.length === 1 ? 0 : j]!);
  };
  const time = (name: "t0" | "t1", usual: number | undefined): number | Float32Array => {
    const option = times[name === "t0" ? 0 : 1];
    const column = own(name);
    if (column && option !== undefined)
      throw new ConfigError(`--${name}`, `must be left out, as a file has a column ${name}`, options[name]);
    if (column) return column;
    if (typeof option === "number") return option;
    if (option) {
      const { values, rows: count } = option.table;
      return Float32Array.from({ length: n }, (_, j) => values[count === 1 ? 0 : j]!);
    }
    if (usual === undefined) throw new ConfigError(`--${name}`, "must be given: where the solve ends");
    return usual;
  };
  const initial = statesOf(chosen, states, components, n);
  const [rtol, atol] = [own("rtol"), own("atol")];
  return {
    field: { name: chosen.name, dimension: components.length, parameters: [...names], source: chosen.source },
    components,
    parameterNames: names,
    initial,
    parameters: parametersOf(chosen, given, names, n),
    start: time("t0", chosen.span?.[0] ?? 0),
    end: time("t1", chosen.span?.[1]),
    ...(rtol && { rtol }),
    ...(atol && { atol }),
  };
}

/**
 * Times of a save grid: one column is a grid of all trajectories; columns `trajectory` and `t`, sorted by trajectory, one
 * of each.
 * @throws DataError
 */
export function readTimes(file: string, n: number): Float32Array<ArrayBuffer> | Float32Array<ArrayBuffer>[] {
  const table = readTable(file);
  if (table.columns === 1) return Float32Array.from(table.values);
  const columns = ["trajectory", "t"].map((name) => table.header?.indexOf(name) ?? -1);
  if (table.columns !== 2 || columns.includes(-1))
    throw new DataError(file, "must have one column of times, or two with the header trajectory,t");
  const lists = Array.from({ length: n }, () => [] as number[]);
  for (let row = 0; row < table.rows; row++) {
    const [trajectory, t] = columns.map((column) => table.values[row * 2 + column]!) as [number, number];
    if (lists[trajectory] === undefined)
      throw new DataError(file, `line ${table.lines[row]} must have a trajectory in 0..${n - 1}, got ${trajectory}`);
    lists[trajectory].push(t);
  }
  return lists.map((list) => Float32Array.from(list));
}

/**
 * Derivatives of a loss by the final states, [n, components]: a row a trajectory, or one row of all.
 * @throws DataError
 */
export function readCotangents(file: string, { components, initial }: SolveInputs, field: string): Float32Array {
  const table = readTable(file);
  const n = initial.length / components.length;
  if (table.rows !== n && table.rows !== 1)
    throw new DataError(file, `must have 1 row, or ${n}, a row a trajectory, got ${table.rows}`);
  return statesOf({ name: field, initial: undefined }, table, components, n);
}

interface Table extends NumberTable {
  readonly file: string;
}

/** CSV, or NumPy's arrays of one or two dimensions, by what the file begins with. */
function readTable(file: string): Table {
  const bytes = readBytes(file);
  if (!isNpy(bytes)) {
    if (extname(file) === ".npy") decodeNpy(bytes, file);
    return { ...parseCsv(bytes.toString("utf8"), file), file };
  }
  const { shape, data } = decodeNpy(bytes, file);
  if (shape.length < 1 || shape.length > 2)
    throw new DataError(file, `must have one or two dimensions, got shape (${shape.join(", ")})`);
  const [rows, columns = 1] = shape as [number, number?];
  if (rows * columns === 0) throw new DataError(file, `must not be empty, got shape (${shape.join(", ")})`);
  return { file, rows, columns, values: Float64Array.from(data), lines: range(rows, "").map((_, i) => i + 1) };
}

interface SplitTable extends Table {
  readonly own: ReadonlyMap<OwnColumn, Float64Array>;
}

/** Takes columns of OWN_COLUMNS out of a table, unless the field itself has something of that name. */
function splitOwn(table: Table, taken: readonly string[]): SplitTable {
  const { header, rows, columns, values } = table;
  const column = (c: number) => Float64Array.from({ length: rows }, (_, row) => values[row * columns + c]!);
  const own = new Map<OwnColumn, Float64Array>();
  for (const name of OWN_COLUMNS) {
    const c = taken.includes(name) ? -1 : (header?.indexOf(name) ?? -1);
    if (c >= 0) own.set(name, column(c));
  }
  if (own.size === 0) return { ...table, own };
  const kept = header!.flatMap((name, c) => (own.has(name as OwnColumn) ? [] : [c]));
  return {
    ...table,
    own,
    header: kept.map((c) => header![c]!),
    columns: kept.length,
    values: Float64Array.from({ length: rows * kept.length }, (_, at) => {
      const row = Math.floor(at / kept.length);
      return values[row * columns + kept[at % kept.length]!]!;
    }),
  };
}

function statesOf(
  { name, initial }: Pick<ChosenField, "name" | "initial">,
  table: Table | undefined,
  components: readonly string[],
  n: number,
): Float32Array {
  const width = components.length;
  if (!table || (table.columns === 0 && initial))
    return Float32Array.from({ length: n * width }, (_, at) => initial![at % width]!);
  if (table.columns !== width)
    throw new DataError(
      table.file,
      `must have ${width} columns, ${components.join(", ")} of ${name}, got ${table.columns}`,
    );
  const places = table.header ? placesOf(table.header, components, table.file, "components", name) : undefined;
  return Float32Array.from({ length: n * width }, (_, at) => {
    const row = table.rows === 1 ? 0 : Math.floor(at / width);
    return table.values[row * width + (places?.indexOf(at % width) ?? at % width)]!;
  });
}

/** [n, parameters], or [parameters] where all trajectories have the same. */
function parametersOf(
  { name, defaults }: ChosenField,
  table: SplitTable | undefined,
  names: readonly string[],
  n: number,
): Float32Array {
  const width = names.length;
  if (table && !table.header && table.columns !== width)
    throw new DataError(
      table.file,
      `must have ${width} columns${width === 0 ? "" : `, ${names.join(", ")}`} of ${name}, or a header that names some of them, got ${table.columns}`,
    );
  const places = table?.header
    ? placesOf(table.header, names, table.file, "parameters", name)
    : table && range(width, "").map((_, i) => i);
  const columns = names.map((parameter, i) => {
    const column = places?.indexOf(i) ?? -1;
    if (column < 0 && defaults[i] === undefined)
      throw table
        ? new DataError(table.file, `must have a column ${parameter}: ${name} gives it no default`)
        : new ConfigError("--params", `must name a file with ${parameter}: ${name} gives it no default`);
    return column;
  });
  const rows = table && table.rows > 1 ? n : 1;
  return Float32Array.from({ length: rows * width }, (_, at) => {
    const [row, i] = [Math.floor(at / width), at % width];
    const column = columns[i]!;
    return column < 0 ? defaults[i]! : table!.values[row * table!.columns + column]!;
  });
}

/** For each column the place of its name among `known`; Greek letters may be spelled out. */
function placesOf(
  header: readonly string[],
  known: readonly string[],
  file: string,
  what: string,
  field: string,
): number[] {
  const spelled = known.map((name) => [...name].map((letter) => LETTERS[letter] ?? letter).join(""));
  return header.map((name) => {
    const place = known.indexOf(name) >= 0 ? known.indexOf(name) : spelled.indexOf(name);
    if (place >= 0) return place;
    const near = nearest(name, [...known, ...spelled]);
    const hint = near === undefined ? "" : `, did you mean ${near}?`;
    throw new DataError(
      file,
      known.length === 0
        ? `column ${name}: ${field} has no ${what}`
        : `column ${name} is none of the ${what} of ${field} (${known.join(", ")})${hint}`,
    );
  });
}

function readBytes(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new DataError(file, `cannot be read: ${reasonOf(error)}`);
  }
}

function range(count: number, prefix: string): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

/** `lorenz` of `lorenz` and of `fields/lorenz.wgsl`. */
export function shortName(field: string): string {
  return basename(field, ".wgsl");
}
