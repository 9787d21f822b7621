import { html, nothing } from "lit";
import type { Cell, Claim, Table } from "../../../src/experiment/record.ts";
import { formatNumber } from "../../../src/report/format.ts";
import type { ConformanceResult, MethodRow } from "./protocol.ts";

const HEADINGS = {
  methods: [
    "Method",
    "Order",
    "Solves",
    "Unfinished",
    "Error over bound",
    "worst",
    "DETEST: error over tolerance",
    "Other bits beside others",
    "Verdict",
  ],
  claims: ["Statement", "Measured", "Passes", "Verdict"],
  ceilings: ["Ceiling", "Value", "Unit", "Quartiles", "How"],
  kernels: ["Kernel", "Shape", "Check", "Time, µs", "Least time, µs", "bound by", "Share of the ceiling"],
};

export function methodsTable(methods: readonly MethodRow[]) {
  return table(
    "methods",
    methods.map((row) => [
      row.method,
      number(row.order),
      row.solves,
      row.unfinished,
      number(row.worst),
      row.worstWhere || "–",
      number(row.detest),
      row.compared === 0 ? "–" : `${row.different} of ${row.compared}`,
      verdict(row.verdict),
    ]),
  );
}

/** A row a problem, a column a method. */
export function detestTable(detest: ConformanceResult["detest"]) {
  const problems = Object.keys(detest);
  if (problems.length === 0) return html`<p>None of these problems is of DETEST.</p>`;
  const methods = [...new Set(problems.flatMap((problem) => Object.keys(detest[problem]!)))];
  return drawn(
    ["Problem", ...methods],
    problems.map((problem) => [problem, ...methods.map((method) => number(detest[problem]![method]))]),
  );
}

export function claimsTable(claims: readonly Claim[]) {
  return table(
    "claims",
    claims.map(({ statement, measured, passes, verdict: said, note }) => [
      html`${statement}${note ? html`<br /><small>${note}</small>` : nothing}`,
      number(measured),
      [
        ...(passes.min === undefined ? [] : [`≥ ${formatNumber(passes.min)}`]),
        ...(passes.max === undefined ? [] : [`≤ ${formatNumber(passes.max)}`]),
      ].join(", "),
      verdict(said),
    ]),
    true,
  );
}

export function ceilingsTable({ rows }: Table) {
  return table(
    "ceilings",
    rows.map((row) => [
      row.ceiling,
      number(row.value),
      row.unit,
      `${number(row.lower)} … ${number(row.upper)}`,
      row.note,
    ]),
  );
}

export function kernelsTable({ rows }: Table) {
  return table(
    "kernels",
    rows.map((row) => [
      html`${row.kernel}<br /><small>${row.variant}</small>`,
      row.shape,
      verdict({ checked: "holds", failed: "fails" }[String(row.status)] ?? String(row.status)),
      number(row.median),
      number(row.floor),
      row.bound,
      shareBar(row.share),
    ]),
    true,
  );
}

function table(name: keyof typeof HEADINGS, rows: readonly (readonly unknown[])[], wrapped = false) {
  return drawn(HEADINGS[name], rows, `${name}${wrapped ? " wrapped" : ""}`);
}

function drawn(headings: readonly string[], rows: readonly (readonly unknown[])[], name = "") {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${`Table: ${headings[0]}`}>
    <table class=${`results ${name}`}>
      <thead>
        <tr>${headings.map((heading) => html`<th scope="col">${heading}</th>`)}</tr>
      </thead>
      <tbody>
        ${rows.map(
          ([first, ...cells]) => html`<tr>
            <th scope="row">${first}</th>
            ${cells.map((cell) => html`<td>${cell}</td>`)}
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function shareBar(share: Cell | undefined) {
  if (typeof share !== "number") return "–";
  const percent = `${formatNumber(100 * share, 3)} %`;
  return html`<span class="share"><span style=${`width: ${Math.min(100, 100 * share).toFixed(1)}%`}></span></span>${percent}`;
}

function verdict(said: string) {
  const good = { holds: "smooth", fails: "ragged" }[said];
  return good ? html`<span class=${`verdict ${good}`}>${said}</span>` : said;
}

function number(value: Cell | undefined): string {
  return typeof value !== "number" || Number.isNaN(value) ? "–" : Number.isFinite(value) ? formatNumber(value, 3) : "∞";
}
