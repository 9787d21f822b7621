/** A comparison of runs as one page that needs nothing else. */
import type { Figure } from "../experiment/record.ts";
import type { ClaimSide, ComparedClaim, ComparedFact, ComparedFigure, Comparison } from "./comparison.ts";
import { formatNumber, formatRange, formatSeconds } from "./format.ts";
import { escapeHtml, figureBlock, htmlPage, measuredHtml, minus, verdictMark } from "./html.ts";

/** @param svgs SVG text of every part of every figure, by {@link partKey} */
export function renderComparison(comparison: Comparison, svgs: ReadonlyMap<string, string>): string {
  const { experiment, title, runs, claims, config, environment } = comparison;
  const labels = runs.map(({ label }) => label);
  const head = {
    kicker: `${experiment} · ${runs.length} runs compared`,
    title,
    summary: `${labels.join(", ")}. Differences are from ${labels[0]}.`,
    banner: banner(claims),
  };
  return htmlPage(
    head,
    [
      runsSection(comparison),
      claimsSection(claims, labels),
      figuresSection(comparison, svgs),
      factsSection("Parameters", "config", config, labels),
      factsSection("Environment", "environment", environment, labels),
    ],
    STYLE,
  );
}

/** Name of a part of a figure among all that are drawn. */
export function partKey({ name }: ComparedFigure, part: number): string {
  return `${name} ${part}`;
}

/** `2 of 7 claims have another verdict`, and how many are made by some of the runs only. */
export function verdictsText(claims: readonly ComparedClaim[]): string {
  const some = claims.filter(({ sides }) => sides.includes(null)).length;
  const changed = claims.filter(({ sameVerdict }) => !sameVerdict).length;
  const verdicts =
    changed === 0
      ? "the verdicts are the same"
      : `${changed} of ${claims.length} claims ${changed === 1 ? "has" : "have"} different verdicts`;
  return [
    claims.length === 0 ? "no claims" : verdicts,
    ...(some === 0 ? [] : [`${some} ${some === 1 ? "is" : "are"} made by some of the runs only`]),
  ].join(", ");
}

/** `difference 0.012, intervals overlap`; empty where there is none. */
export function differenceText({ difference, overlap }: ClaimSide): string {
  if (difference === undefined) return "";
  const number = `difference ${difference > 0 ? "+" : ""}${formatNumber(difference, 3)}`;
  return overlap === undefined ? number : `${number}, intervals ${overlap ? "overlap" : "apart"}`;
}

function banner(claims: readonly ComparedClaim[]): string {
  const text = verdictsText(claims);
  const kind = claims.every(({ sameVerdict }) => sameVerdict) ? "neutral" : "open";
  return `<p class="banner ${kind}" role="status">${escapeHtml(text[0]!.toUpperCase() + text.slice(1))}</p>`;
}

function runsSection({ runs }: Comparison): string {
  const rows = runs.map(
    ({ label, preset, status, seconds, command }) =>
      `<tr><th scope="row">${escapeHtml(label)}</th><td data-label="Preset">${escapeHtml(preset)}</td><td data-label="Outcome"${status === "done" ? "" : ' class="bad"'}>${escapeHtml(status.replaceAll("_", " "))}</td><td data-label="Time" class="number">${formatSeconds(seconds)}</td><td data-label="Command"><code>${escapeHtml(command)}</code></td></tr>`,
  );
  return `<section id="runs"><h2>Runs</h2><table class="stacked"><thead><tr>${["Run", "Preset", "Outcome", "Time", "Command"].map((name) => `<th scope="col">${name}</th>`).join("")}</tr></thead><tbody>${rows.join("\n")}</tbody></table></section>`;
}

function claimsSection(claims: readonly ComparedClaim[], labels: readonly string[]): string {
  if (claims.length === 0) return "";
  const rows = claims.map(({ id, sides, sameVerdict, sameRange }) => {
    const { claim } = sides.find((side) => side !== null)!;
    const range = sameRange ? ` passes ${formatRange(claim.passes)}` : "";
    const cells = sides.map((side, i) => {
      const open = `<td data-label="${escapeHtml(labels[i]!)}" class="number">`;
      if (side === null) return `${open}<span class="soft">not claimed</span></td>`;
      const own = sameRange ? "" : `<br><small>passes ${minus(formatRange(side.claim.passes))}</small>`;
      const difference = differenceText(side);
      const apart = side.overlap === false ? ' class="apart"' : "";
      return `${open}${verdictMark(side.claim.verdict)}<br>${measuredHtml(side.claim)}${own}${difference === "" ? "" : `<br><small${apart}>${minus(difference)}</small>`}</td>`;
    });
    return `<tr id="claim-${escapeHtml(id)}"${sameVerdict ? "" : ' class="changed"'}><td class="statement">${escapeHtml(claim.statement)} <span class="source">${escapeHtml(claim.source)}</span>${range === "" ? "" : `<p class="note">${minus(range)}</p>`}</td>${cells.join("")}</tr>`;
  });
  const head = ["Claim", ...labels].map((label) => `<th scope="col">${escapeHtml(label)}</th>`).join("");
  return `<section id="claims"><h2>Claims</h2><div class="wide" tabindex="0" role="region" aria-label="Claims"><table class="stacked compared"><thead><tr>${head}</tr></thead><tbody>${rows.join("\n")}</tbody></table></div>
<p class="note">Runs of the same seeds are not independent: intervals that overlap do not say that the numbers are the same.</p></section>`;
}

function figuresSection({ figures }: Comparison, svgs: ReadonlyMap<string, string>): string {
  if (figures.length === 0) return "";
  let number = 0;
  const blocks = figures.flatMap((compared) => {
    const { together, parts, missing } = compared;
    const absent = missing.length === 0 ? "" : ` Not in ${missing.join(", ")}.`;
    return parts.map(({ label, figure }, i) => {
      const alone = together ? "" : ` ${label}, on axes of its own.`;
      const described: Figure = {
        ...figure,
        name: label === undefined ? figure.name : `${figure.name}-${i}`,
        caption: `${figure.caption || figure.title}${alone}${absent}`,
      };
      number += 1;
      return figureBlock(described, number, svgs.get(partKey(compared, i)));
    });
  });
  return `<section id="figures"><h2>Curves</h2>${blocks.join("\n")}</section>`;
}

/** Facts that differ, and the others folded away. */
function factsSection(title: string, id: string, facts: readonly ComparedFact[], labels: readonly string[]): string {
  const different = facts.filter(({ same }) => !same);
  const equal = facts.filter(({ same }) => same);
  const value = (text: string | null) => (text === null ? '<span class="soft">–</span>' : escapeHtml(text));
  const head = ["", ...labels].map((label) => `<th scope="col">${escapeHtml(label)}</th>`).join("");
  const rows = different.map(
    ({ fact, values }) =>
      `<tr><th scope="row">${escapeHtml(fact)}</th>${values.map((text, i) => `<td data-label="${escapeHtml(labels[i]!)}">${value(text)}</td>`).join("")}</tr>`,
  );
  const table = `<table class="stacked facts-compared"><thead><tr>${head}</tr></thead><tbody>${rows.join("\n")}</tbody></table>`;
  const same = equal.map(
    ({ fact, values }) => `<tr><th scope="row">${escapeHtml(fact)}</th><td>${value(values[0]!)}</td></tr>`,
  );
  return `<section id="${id}"><h2>${title}</h2>${different.length === 0 ? "<p>No difference.</p>" : table}
${equal.length === 0 ? "" : `<details><summary>${equal.length} that are the same</summary><table class="facts"><tbody>${same.join("\n")}</tbody></table></details>`}</section>`;
}

const STYLE = `
main{max-width:1080px}
.neutral{background:var(--tint);border-color:var(--line)}
.soft{color:var(--soft)}
.bad{color:var(--bad);font-weight:600}
.wide{overflow-x:auto}
.compared td.number{line-height:1.45}
.compared .statement{min-width:22em}
.changed td:first-child{box-shadow:inset 4px 0 0 var(--open)}
.changed td:first-child{padding-left:1em}
small.apart{color:var(--open);font-weight:600}
.facts-compared th[scope=row]{font-weight:500;font-family:ui-monospace,"DejaVu Sans Mono",Menlo,monospace;font-size:.82rem}
.facts-compared td{overflow-wrap:anywhere}
summary{cursor:pointer;color:var(--soft);font-size:.9rem;margin:.7em 0}
td code{overflow-wrap:anywhere}
@media (max-width:640px){
.stacked,.stacked tbody{display:block}.stacked thead{display:none}
.stacked tr{display:block;border-bottom:1px solid var(--line);padding:.7em 0}
.stacked th,.stacked td{display:block;border:0;padding:.15em 0}
.stacked td[data-label]::before{content:attr(data-label) ": ";color:var(--soft)}
.compared .statement,.compared td.number{min-width:0}
.changed td:first-child{padding-left:.8em}
}
`;
