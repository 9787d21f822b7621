/** A record and its figures → one page that needs nothing else: no script, no font, no request. */
import type { Claim, Figure, RunRecord, Verdict } from "../experiment/record.ts";
import { countVerdicts, formatMeasured, formatNumber, formatRange, formatSeconds, tallyText } from "./format.ts";

const VERDICT_CLASS: Record<Verdict, string> = { holds: "holds", fails: "fails", "not decided": "open" };
const VERDICT_SIGN: Record<Verdict, string> = { holds: "✓", fails: "✗", "not decided": "?" };

/**
 * The whole report as one self-contained HTML document.
 * @param svgs SVG text of each figure by its name; a figure without one is listed with a sentence saying so
 */
export function renderHtml(record: RunRecord, svgs: ReadonlyMap<string, string>): string {
  return htmlDocument(record, [
    claimsSection(record.claims),
    figuresSection(record.figures, svgs),
    notesSection(record.notes),
    factsSection("Parameters", "config", record.config, "config.json"),
    factsSection("Environment", "environment", record.environment, "environment.json"),
    rerunSection(record),
    filesSection(record),
  ]);
}

/** The page of a record around its sections: title, summary, status. Empty sections are left out. */
export function htmlDocument(record: RunRecord, sections: readonly string[], style = ""): string {
  const head = {
    kicker: `${record.experiment} · preset ${record.preset}`,
    title: record.title,
    summary: record.summary,
    banner: statusBanner(record),
  };
  return htmlPage(head, sections, style);
}

export interface PageHead {
  /** A few words above the title. */
  readonly kicker: string;
  readonly title: string;
  readonly summary: string;
  /** HTML of the coloured line that says how it ended; empty for none. */
  readonly banner: string;
}

/** A page that needs nothing else, around its sections. Empty sections are left out. */
export function htmlPage(
  { kicker, title, summary, banner }: PageHead,
  sections: readonly string[],
  style = "",
): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${escapeHtml(title)}</title>
<style>${STYLE}${style}</style>
</head>
<body>
<main>
<header>
<p class="kicker">${escapeHtml(kicker)}</p>
<h1>${escapeHtml(title)}</h1>
<p class="summary">${escapeHtml(summary)}</p>
${banner}
</header>
${sections.filter((section) => section !== "").join("\n")}
</main>
</body>
</html>
`;
}

/** Text with the five characters that HTML gives a meaning written as references. */
export function escapeHtml(text: string): string {
  const references: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (character) => references[character]!);
}

function statusBanner(record: RunRecord): string {
  const { fails, open } = countVerdicts(record.claims);
  const kind = record.status !== "done" || fails > 0 ? "fails" : open > 0 ? "open" : "holds";
  const words = record.status === "done" ? "Done" : record.status.replaceAll("_", " ");
  const detail = record.statusDetail === undefined ? "" : `<br>${escapeHtml(record.statusDetail)}`;
  return `<p class="banner ${kind}" role="status"><strong>${escapeHtml(words)}</strong> after ${formatSeconds(record.seconds)} · ${tallyText(record.claims)}${detail}</p>`;
}

export function claimsSection(claims: readonly Claim[]): string {
  if (claims.length === 0) return "";
  return `<section id="claims"><h2>Claims</h2>
<table class="claims">${CLAIMS_HEAD}
<tbody>${claims.map((claim) => claimRow(claim)).join("\n")}</tbody></table></section>`;
}

export const CLAIMS_HEAD = `<thead><tr><th scope="col">Verdict</th><th scope="col">Measured</th><th scope="col">Passes</th><th scope="col">Claim, source and note</th></tr></thead>`;

/** A row of a table of claims. @param prefix of its id, where a page has the claims of several runs */
export function claimRow(claim: Claim, prefix = "claim"): string {
  const note = claim.note === undefined ? "" : `<p class="note">${escapeHtml(claim.note)}</p>`;
  return `<tr id="${escapeHtml(`${prefix}-${claim.id}`)}">
<td data-label="Verdict">${verdictMark(claim.verdict)}</td>
<td data-label="Measured" class="number">${measuredHtml(claim)}</td>
<td data-label="Passes" class="number">${minus(formatRange(claim.passes))}</td>
<td data-label="Claim">${escapeHtml(claim.statement)} <span class="source">${escapeHtml(claim.source)}</span>${note}</td>
</tr>`;
}

export function verdictMark(verdict: Verdict): string {
  return `<span class="verdict ${VERDICT_CLASS[verdict]}"><span aria-hidden="true">${VERDICT_SIGN[verdict]}</span> ${verdict}</span>`;
}

/** The number of a claim with its interval, and how sure that is. */
export function measuredHtml({ measured, interval, confidence }: Claim): string {
  const sure =
    confidence === undefined || interval === undefined || measured === null
      ? ""
      : `<br><small>${percent(confidence)} interval</small>`;
  return `${minus(formatMeasured(measured, interval))}${sure}`;
}

function figuresSection(figures: readonly Figure[], svgs: ReadonlyMap<string, string>): string {
  if (figures.length === 0) return "";
  const blocks = figures.map((figure, i) => {
    const svg = svgs.get(figure.name);
    const links = [
      ...(svg === undefined
        ? []
        : [link(`figures/${figure.name}.svg`, "SVG"), link(`figures/${figure.name}.png`, "PNG")]),
      link(`tables/${figure.table}.csv`, "data"),
    ];
    return figureBlock(figure, i + 1, svg, `<span class="links">${links.join(" · ")}</span>`);
  });
  return `<section id="figures"><h2>Figures</h2>${blocks.join("\n")}</section>`;
}

/** A numbered figure with its caption, or a sentence instead of the picture. */
export function figureBlock(figure: Figure, number: number, svg: string | undefined, links = ""): string {
  const picture =
    svg === undefined
      ? `<p class="missing">This figure could not be drawn; its numbers are in the table below.</p>`
      : `<div class="card">${embedSvg(svg, `figure-${number}`, figure.title)}</div>`;
  return `<figure id="${escapeHtml(figure.name)}">${picture}<figcaption><strong>Figure ${number}.</strong> ${escapeHtml(figure.caption || figure.title)} ${links}</figcaption></figure>`;
}

/** SVG within a page: ids made unique, since a page has one space of names for all its figures, and a size that shrinks with the page. */
function embedSvg(svg: string, prefix: string, label: string): string {
  const unique = svg
    .replace(/<\?xml[^>]*\?>|<!DOCTYPE[^>]*>/g, "")
    .replace(/\bid="([^"]+)"/g, `id="${prefix}-$1"`)
    .replace(/url\(#([^)]+)\)/g, `url(#${prefix}-$1)`)
    .replace(/href="#([^"]+)"/g, `href="#${prefix}-$1"`);
  return unique.replace(/<svg\b/, `<svg role="img" aria-label="${escapeHtml(label)}"`);
}

export function notesSection(notes: readonly string[]): string {
  if (notes.length === 0) return "";
  return `<section id="notes"><h2>Before quoting a number</h2><ul>${notes.map((note) => `<li>${escapeHtml(note)}</li>`).join("")}</ul></section>`;
}

function factsSection(title: string, id: string, facts: Record<string, unknown>, file: string): string {
  const table = factsTable(facts);
  if (table === "") return "";
  return `<section id="${id}"><h2>${title}</h2>${table}<p class="links">${link(file, file)}</p></section>`;
}

/** Dotted names and values of nested plain data; empty without any. */
export function factsTable(facts: Record<string, unknown>): string {
  const rows = flattenFacts(facts).map(
    ([key, value]) => `<tr><th scope="row">${escapeHtml(key)}</th><td>${escapeHtml(value)}</td></tr>`,
  );
  return rows.length === 0 ? "" : `<table class="facts"><tbody>${rows.join("")}</tbody></table>`;
}

/** Nested plain data as dotted names and short values. */
export function flattenFacts(value: unknown, prefix = ""): [string, string][] {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    const entries = Object.entries(value);
    if (entries.length > 0)
      return entries.flatMap(([key, inner]) => flattenFacts(inner, prefix === "" ? key : `${prefix}.${key}`));
    return prefix === "" ? [] : [[prefix, "{}"]];
  }
  return [[prefix, factText(value)]];
}

function factText(value: unknown): string {
  if (typeof value === "number") return formatNumber(value, 8);
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "none";
  if (Array.isArray(value)) {
    return value.every((item) => item === null || typeof item !== "object")
      ? value.map(factText).join(", ")
      : JSON.stringify(value);
  }
  return String(value);
}

export function rerunSection(record: RunRecord): string {
  return `<section id="rerun"><h2>Run it again</h2><pre><code>${escapeHtml(record.command)}</code></pre></section>`;
}

function filesSection(record: RunRecord): string {
  const tables = record.tables.map(
    (table) =>
      `<tr><th scope="row">${escapeHtml(table.name)}</th><td>${escapeHtml(table.description)}</td><td class="number">${table.rows.length} rows</td><td class="links">${link(`tables/${table.name}.csv`, "CSV")} · ${link(`tables/${table.name}.jsonl`, "JSON lines")}</td></tr>`,
  );
  const others = ["tables/tables.json", "claims.json", "config.json", "environment.json", "record.json"].map((file) =>
    link(file, file),
  );
  return `<section id="files"><h2>Files</h2>${tables.length > 0 ? `<table class="facts"><tbody>${tables.join("")}</tbody></table>` : ""}<p class="links">${others.join(" · ")}</p></section>`;
}

/** A link to a file beside the page. */
export function link(path: string, text: string): string {
  return `<a href="${escapeHtml(path.split("/").map(encodeURIComponent).join("/"))}">${escapeHtml(text)}</a>`;
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(4))} %`;
}

/** Hyphens of negative numbers as minus signs; the text has no letters that HTML would read. */
export function minus(text: string): string {
  return escapeHtml(text.replace(/-(?=[\d∞])/g, "−"));
}

const STYLE = `
:root{--bg:#fff;--fg:#1b1f24;--soft:#57606a;--line:#d8dee4;--tint:#f6f8fa;--link:#0a58a6;
--good:#116329;--good-bg:#dafbe1;--bad:#a40e26;--bad-bg:#ffebe9;--open:#7d4e00;--open-bg:#fff3cd}
@media (prefers-color-scheme:dark){:root{--bg:#0f1318;--fg:#e6edf3;--soft:#9ba6b2;--line:#30363d;--tint:#171c22;--link:#79b8ff;
--good:#7ee2a0;--good-bg:#12301d;--bad:#ffa198;--bad-bg:#3c1518;--open:#f2cc60;--open-bg:#352a0c}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:860px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:1.75rem;line-height:1.25;margin:.1em 0 .5em}
h2{font-size:1.2rem;margin:2.2em 0 .7em;padding-bottom:.25em;border-bottom:1px solid var(--line)}
a{color:var(--link)}
.kicker{margin:0;color:var(--soft);font-size:.875rem}
.summary{max-width:70ch}
.banner{padding:.7em 1em;border-radius:8px;border-left:5px solid;margin:1.2em 0 0}
.banner strong{text-transform:capitalize}
.holds{color:var(--good);background:var(--good-bg)}
.fails{color:var(--bad);background:var(--bad-bg)}
.open{color:var(--open);background:var(--open-bg)}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.55em .7em;border-bottom:1px solid var(--line)}
thead th{font-size:.8rem;color:var(--soft);font-weight:600}
td.number{font-variant-numeric:tabular-nums;white-space:nowrap}
small,.source,.note,.links{color:var(--soft)}
.source::before{content:"["}.source::after{content:"]"}
.note{margin:.3em 0 0;font-size:.85rem}
.verdict{display:inline-block;white-space:nowrap;font-weight:600;padding:.1em .6em;border-radius:999px}
figure{margin:0 0 2em}
.card{background:#fff;border:1px solid var(--line);border-radius:8px;padding:8px;overflow-x:auto}
.card svg{display:block;width:100%;height:auto;max-width:800px;min-width:480px;margin:0 auto}
figcaption{font-size:.9rem;margin-top:.6em;max-width:75ch}
.missing{background:var(--tint);padding:1em;border-radius:8px}
.facts th{font-weight:500;font-family:ui-monospace,"DejaVu Sans Mono",Menlo,monospace;font-size:.82rem;width:1%;white-space:nowrap;padding:.3em .9em .3em 0}
.facts td{padding:.3em .7em .3em 0;overflow-wrap:anywhere}
.facts td.links{white-space:nowrap}
.links{font-size:.85rem}
pre{background:var(--tint);border:1px solid var(--line);border-radius:8px;padding:.8em 1em;overflow-x:auto}
code{font:.875rem/1.5 ui-monospace,"DejaVu Sans Mono",Menlo,monospace}
@media (max-width:640px){
main{padding:20px 14px 48px}h1{font-size:1.4rem}
.claims thead{display:none}
.claims tr{display:block;border-bottom:1px solid var(--line);padding:.7em 0}
.claims td{display:block;border:0;padding:.15em 0;white-space:normal}
.claims td[data-label=Measured]::before,.claims td[data-label=Passes]::before{content:attr(data-label) ": ";color:var(--soft)}
.facts,.facts tbody{display:block}
.facts tr{display:block;padding:.45em 0;border-bottom:1px solid var(--line)}
.facts th,.facts td{display:block;width:auto;white-space:normal;border:0;padding:0;overflow-wrap:anywhere}
}
@media print{
:root{--bg:#fff;--fg:#000;--soft:#444;--line:#bbb;--tint:#f6f8fa;--link:#000;--good:#116329;--good-bg:#fff;--bad:#a40e26;--bad-bg:#fff;--open:#7d4e00;--open-bg:#fff}
main{max-width:none;padding:0}figure,tr{break-inside:avoid}h2{break-after:avoid}.card{border:0;padding:0}figcaption .links{display:none}
.verdict{padding:0}
}
`;
