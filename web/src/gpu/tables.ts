import { html, nothing } from "lit";
import type { Cell, Claim, Table } from "../../../src/experiment/record.ts";
import { formatNumber } from "../../../src/report/format.ts";
import type { ConformanceResult, MethodRow } from "./protocol.ts";

const HEADINGS = {
  methods: [
    "Method",
    "Verdict",
    "Order",
    "Solves",
    "Unfinished",
    "Error over bound",
    "worst",
    "DETEST: error over tolerance",
    "Other bits beside others",
  ],
  claims: ["Statement", "Verdict", "Measured", "Passes"],
  ceilings: ["Ceiling", "Value", "Unit", "Quartiles", "How"],
  kernels: ["Kernel", "Against float64", "Share of the ceiling", "Time, µs", "Least time, µs", "bound by"],
};

export function methodsTable(methods: readonly MethodRow[]) {
  return table(
    "methods",
    methods.map((row) => [
      row.method,
      verdict(row.verdict),
      number(row.order),
      row.solves,
      row.unfinished,
      number(row.worst),
      row.worstWhere || "–",
      number(row.detest),
      row.compared === 0 ? "–" : `${row.different} of ${row.compared}`,
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
      verdict(said),
      number(measured),
      [
        ...(passes.min === undefined ? [] : [`≥ ${formatNumber(passes.min)}`]),
        ...(passes.max === undefined ? [] : [`≤ ${formatNumber(passes.max)}`]),
      ].join(", "),
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
      html`${row.kernel}<br /><small>${[row.variant, row.shape].filter((text) => text !== "").join("; ")}</small>`,
      check(String(row.status)),
      shareBar(row.share),
      number(row.median),
      number(row.floor),
      row.bound,
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

/** Of a kernel against float64. */
function check(status: string) {
  if (status === "checked") return html`<span class="verdict smooth">equal</span>`;
  return status === "failed" ? html`<span class="verdict ragged">differs</span>` : status;
}

function verdict(said: string) {
  const good = { holds: "smooth", fails: "ragged" }[said];
  return good ? html`<span class=${`verdict ${good}`}>${said}</span>` : said;
}

function number(value: Cell | undefined): string {
  return typeof value !== "number" || Number.isNaN(value) ? "–" : Number.isFinite(value) ? formatNumber(value, 3) : "∞";
}
