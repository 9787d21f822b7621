/** Tables as files that any program reads: CSV, JSON lines, and what the columns mean. */
import type { Cell, Column, Table } from "../experiment/record.ts";

/**
 * RFC 4180 with `\n` line ends: plain column names in the header, cells quoted only where they must be. Null is an empty cell; NaN and ±Infinity are
 * written as `NaN`, `inf` and `-inf`, which pandas and R read as numbers. Units and descriptions are in {@link tablesJson}.
 */
export function tableCsv(table: Table): string {
  const header = table.columns.map((column) => quote(column.name)).join(",");
  const lines = table.rows.map((row) => table.columns.map((column) => quote(cellText(row[column.name]))).join(","));
  return `${[header, ...lines].join("\n")}\n`;
}

/** One JSON object a row, keys in the order of the columns; numbers that are not finite become null, since JSON has none. */
export function tableJsonLines(table: Table): string {
  return table.rows.map((row) => `${JSON.stringify(orderedRow(table, row))}\n`).join("");
}

export interface TableFacts {
  readonly name: string;
  readonly description: string;
  readonly rows: number;
  readonly columns: readonly Column[];
}

/** The sidecar of all tables: what they and their columns mean, with units. */
export function tablesJson(tables: readonly Table[]): readonly TableFacts[] {
  return tables.map(({ name, description, rows, columns }) => ({ name, description, rows: rows.length, columns }));
}

function orderedRow(table: Table, row: Record<string, Cell>): Record<string, Cell> {
  return Object.fromEntries(table.columns.map(({ name }) => [name, row[name] ?? null]));
}

function cellText(cell: Cell | undefined): string {
  if (cell === null || cell === undefined) return "";
  if (typeof cell !== "number" || Number.isFinite(cell)) return String(cell);
  return Number.isNaN(cell) ? "NaN" : cell > 0 ? "inf" : "-inf";
}

function quote(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
