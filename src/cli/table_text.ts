/** A table of a record for a terminal. */
import type { Cell, Table } from "../experiment/record.ts";
import { formatNumber } from "../report/format.ts";
import { wrap } from "../report/text.ts";
import { clip, columnsText } from "./terminal.ts";

/** Texts are cut where they make a table too wide, first to the one, in the end to the other of these lengths. */
const LONGEST_TEXT = 44;
const SHORTEST_TEXT = 12;

/**
 * The columns named by `only`, or all, in their order: texts are cut until the whole fits into `width`, then columns are left
 * out from the right and a line names them. Columns without any value are left out silently.
 */
export function tableText(table: Table, width: number, only?: readonly string[]): string {
  const columns = table.columns
    .filter(({ name }) => only === undefined || only.includes(name))
    .filter(({ name }) => table.rows.some((row) => !isEmpty(row[name])))
    .map(({ name, unit }) => {
      const numeric = table.rows.every((row) => isEmpty(row[name]) || typeof row[name] === "number");
      const header = unit === undefined ? name : `${name} [${unit}]`;
      return { name, header, cells: table.rows.map((row) => cellText(row[name])), numeric };
    });
  let longest = LONGEST_TEXT;
  const widthOf = ({ header, cells, numeric }: (typeof columns)[number]): number => {
    const widest = Math.max(...cells.map((text) => [...text].length));
    return Math.max([...header].length, numeric ? widest : Math.min(widest, longest));
  };
  const total = (shown: typeof columns) => shown.reduce((sum, column) => sum + widthOf(column) + 2, -2);
  while (longest > SHORTEST_TEXT && total(columns) > width) longest--;
  let shown = columns;
  while (shown.length > 1 && total(shown) > width) shown = shown.slice(0, -1);
  const others = table.columns
    .map(({ name }) => name)
    .filter((name) => columns.some((column) => column.name === name) && !shown.some((column) => column.name === name));
  const rows = table.rows.map((_, i) =>
    shown.map(({ cells, numeric }) => (numeric ? cells[i]! : clip(cells[i]!, longest))),
  );
  const aligned = shown.map(({ header, numeric }) => ({
    header,
    align: numeric ? ("right" as const) : ("left" as const),
  }));
  return [
    columnsText(aligned, rows, width),
    ...(others.length === 0 ? [] : wrap(`(too wide for here: ${others.join(", ")})`, width)),
  ].join("\n");
}

function isEmpty(cell: Cell | undefined): boolean {
  return cell === null || cell === undefined || cell === "";
}

function cellText(cell: Cell | undefined): string {
  if (typeof cell === "number") return formatNumber(cell);
  if (typeof cell === "boolean") return cell ? "yes" : "no";
  return isEmpty(cell) ? "–" : String(cell);
}
