/** A record with sections → one page that holds its tables and figures itself and links to no other file. */
import type { Cell, Column, Figure, RunRecord, Section, Table } from "../experiment/record.ts";
import { formatNumber } from "./format.ts";
import {
  claimsSection,
  escapeHtml,
  factsTable,
  figureBlock,
  htmlDocument,
  minus,
  notesSection,
  rerunSection,
} from "./html.ts";

/**
 * The page of a benchmark: the stamp of the machine, claims, and each section with its figures and its tables, which scroll
 * within themselves where they are wider than the page.
 * @param svgs SVG text of each figure by its name
 */
export function renderBenchmarkPage(record: RunRecord, svgs: ReadonlyMap<string, string>): string {
  const { sections = [], environment } = record;
  const { stamp, ...details } = environment;
  const numbers = new Map(
    sections.flatMap(({ figures }) => figures).map((name, i): [name: string, number: number] => [name, i + 1]),
  );
  return htmlDocument(
    record,
    [
      isRecord(stamp) ? `<section id="machine"><h2>Machine</h2>${factsTable(stamp)}</section>` : "",
      contents(sections),
      claimsSection(record.claims),
      notesSection(record.notes),
      ...sections.map((section) => sectionBlock(section, record, svgs, numbers)),
      folded("Parameters", factsTable(record.config)),
      folded("Environment", factsTable(details)),
      rerunSection(record),
    ],
    STYLE,
  );
}

function contents(sections: readonly Section[]): string {
  if (sections.length < 2) return "";
  return `<nav aria-label="Sections">${sections.map(({ name, title }) => `<a href="#${escapeHtml(name)}">${escapeHtml(title)}</a>`).join(" · ")}</nav>`;
}

function sectionBlock(
  { name, title, tables, figures, notes }: Section,
  record: RunRecord,
  svgs: ReadonlyMap<string, string>,
  numbers: ReadonlyMap<string, number>,
): string {
  const drawn = figures.flatMap((figure) => named<Figure>(record.figures, figure));
  const blocks = [
    ...drawn.map((figure) => figureBlock(figure, numbers.get(figure.name)!, svgs.get(figure.name))),
    ...tables
      .flatMap((table) => named<Table>(record.tables, table))
      .map((table) => (isForFigures(table) ? folded(`${table.name}, as drawn`, tableBlock(table)) : tableBlock(table))),
    notes.length === 0
      ? ""
      : `<ul class="remarks">${notes.map((note) => `<li>${escapeHtml(note)}</li>`).join("")}</ul>`,
  ];
  return `<section id="${escapeHtml(name)}"><h2>${escapeHtml(title)}</h2>${blocks.join("\n")}</section>`;
}

function named<T extends { readonly name: string }>(items: readonly T[], name: string): T[] {
  return items.filter((item) => item.name === name);
}

/** A table that repeats others in the form its figures need. */
export function isForFigures({ name }: Table): boolean {
  return name.endsWith("-curves");
}

function folded(summary: string, content: string): string {
  return content === "" ? "" : `<details class="folded"><summary>${escapeHtml(summary)}</summary>${content}</details>`;
}

/** Columns without any value are left out: they say that nothing went wrong. */
function tableBlock(table: Table): string {
  const columns = table.columns.filter(({ name }) => table.rows.some((row) => !isEmpty(row[name])));
  if (columns.length === 0) return "";
  const numeric = new Set(columns.filter(({ name }) => isNumeric(table, name)));
  const kind = (column: Column): string => {
    if (numeric.has(column)) return ' class="number"';
    return table.rows.some((row) => String(row[column.name] ?? "").length > LONG_TEXT) ? ' class="long"' : "";
  };
  const head = columns.map(
    (column) =>
      `<th scope="col"${kind(column)} title="${escapeHtml(column.description)}">${escapeHtml(column.name)}${column.unit === undefined ? "" : `<br><small>${escapeHtml(column.unit)}</small>`}</th>`,
  );
  const rows = table.rows.map(
    (row) => `<tr>${columns.map((column) => `<td${kind(column)}>${cellText(row[column.name])}</td>`).join("")}</tr>`,
  );
  const meanings = columns.map(
    ({ name, description }) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(description)}</dd>`,
  );
  return `<div class="block" id="table-${escapeHtml(table.name)}"><h3>${escapeHtml(table.name)}</h3><p>${escapeHtml(table.description)}</p>
<div class="wide" tabindex="0" role="region" aria-label="${escapeHtml(table.name)}"><table class="data"><thead><tr>${head.join("")}</tr></thead><tbody>${rows.join("\n")}</tbody></table></div>
<details><summary>What the columns mean</summary><dl>${meanings.join("")}</dl></details></div>`;
}

/** Text beyond this is wrapped within its cell. */
const LONG_TEXT = 36;

function isEmpty(cell: Cell | undefined): boolean {
  return cell === null || cell === undefined || cell === "";
}

function isNumeric(table: Table, name: string): boolean {
  return table.rows.every((row) => isEmpty(row[name]) || typeof row[name] === "number");
}

function cellText(cell: Cell | undefined): string {
  if (typeof cell === "number") return minus(formatNumber(cell));
  if (typeof cell === "boolean") return cell ? "yes" : "no";
  return isEmpty(cell) ? '<span class="empty">–</span>' : escapeHtml(String(cell));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

const STYLE = `
main{max-width:1080px}
nav{margin:1.6em 0 0}
h3{font-size:1rem;margin:1.8em 0 .2em;font-family:ui-monospace,"DejaVu Sans Mono",Menlo,monospace}
.block>p{margin:.2em 0 .7em;max-width:75ch}
.wide{overflow-x:auto;border:1px solid var(--line);border-radius:8px}
.data{font-size:.82rem;line-height:1.4}
.data th,.data td{padding:.35em .8em;white-space:nowrap}
.data thead th{vertical-align:bottom;background:var(--tint)}
.data tbody tr:last-child td{border-bottom:0}
.data tbody tr:nth-child(even) td{background:color-mix(in srgb,var(--tint) 55%,var(--bg))}
.data th:first-child,.data td:first-child{position:sticky;left:0;background:var(--bg)}
.data thead th:first-child{background:var(--tint)}
.data th.number,.data td.number{text-align:right;font-variant-numeric:tabular-nums}
.data th.long,.data td.long{white-space:normal;min-width:26ch}
.empty{color:var(--soft)}
.remarks{font-size:.9rem;max-width:80ch;color:var(--soft)}
summary{cursor:pointer;color:var(--soft);font-size:.85rem;margin:.5em 0}
.folded{margin-top:1.2em}
.folded>summary{font-size:1rem;color:var(--fg)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15em 1.2em;font-size:.85rem;margin:.4em 0 1em}
dt{font-weight:600}
dd{margin:0}
#machine .facts{max-width:75ch}
@media print{.wide{overflow:visible;border:0}.data{font-size:.6rem}.data th,.data td{padding:.2em .3em}nav{display:none}}
`;
