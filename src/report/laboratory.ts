/** Every experiment of a laboratory on one page: how it ended, what it took, and all claims. Pure. */
import type { Cell, Claim, RunRecord, RunStatus, Table } from "../experiment/record.ts";
import { formatBytes } from "../gpu/device.ts";
import { countVerdicts, formatSeconds, tallyText } from "./format.ts";
import { CLAIMS_HEAD, claimRow, escapeHtml, factsTable, htmlPage, link } from "./html.ts";

export interface LaboratoryRun {
  readonly experiment: string;
  readonly title: string;
  /** How its run ended; `skipped`: it cannot be run as it is; `waiting`: its turn has not come. */
  readonly state: RunStatus | "skipped" | "waiting";
  /** Why it did not end well, in a line. */
  readonly reason?: string;
  /** What it left, when it came that far. Its page is `<experiment>/report.html`. */
  readonly record?: RunRecord;
}

export interface Laboratory {
  readonly preset: string;
  /** Command line that makes all of it again. */
  readonly command: string;
  readonly runs: readonly LaboratoryRun[];
}

/** What a run took and decided, in numbers for other programs; null: unknown. */
export function runFacts({ experiment, title, state, reason, record }: LaboratoryRun) {
  const { holds, fails, open } = countVerdicts(record?.claims ?? []);
  return {
    experiment,
    title,
    state,
    reason: reason ?? null,
    seconds: record?.seconds ?? null,
    peakDeviceBytes: numberOf(record?.environment.peakDeviceBytes),
    peakHostBytes: numberOf(record?.environment.peakHostBytes),
    holds,
    fails,
    notDecided: open,
  };
}

/** Every claim with the experiment it belongs to. */
export function allClaims({ runs }: Laboratory): ({ experiment: string; preset: string } & Claim)[] {
  return runs.flatMap(({ experiment, record }) =>
    (record?.claims ?? []).map((claim) => ({ experiment, preset: record!.preset, ...claim })),
  );
}

export function claimsTable(laboratory: Laboratory): Table {
  return {
    name: "claims",
    description: "Every claim of the laboratory",
    columns: [
      { name: "experiment", description: "whose claim it is" },
      { name: "preset", description: "its configuration" },
      { name: "id", description: "name of the claim" },
      { name: "verdict", description: "holds, fails or not decided" },
      { name: "measured", description: "the number" },
      { name: "lower", description: "lower end of its confidence interval" },
      { name: "upper", description: "upper end of its confidence interval" },
      { name: "confidence", description: "of the interval" },
      { name: "min", description: "least number that passes" },
      { name: "max", description: "largest number that passes" },
      { name: "statement", description: "what is claimed" },
      { name: "source", description: "where the claim comes from" },
      { name: "note", description: "what to know beside it" },
    ],
    rows: allClaims(laboratory).map(({ interval, passes, confidence, note, ...claim }): Record<string, Cell> => {
      const [lower = null, upper = null] = interval ?? [];
      const { min = null, max = null } = passes;
      return { ...claim, lower, upper, confidence: confidence ?? null, min, max, note: note ?? null };
    }),
  };
}

/** The page, self-contained but for its links to the pages of the runs. */
export function renderLaboratory(laboratory: Laboratory): string {
  const { preset, command, runs } = laboratory;
  const head = {
    kicker: `deeplimit · preset ${preset}`,
    title: "The laboratory: every experiment and its claims",
    summary:
      "Each experiment measures numbers that theory or publications predict. A claim holds or fails when its number, with the " +
      "confidence interval over seeds or depths, lies inside or outside the range that passes; otherwise it is not decided.",
    banner: banner(runs),
  };
  return htmlPage(
    head,
    [
      runsSection(runs),
      claimsSection(runs),
      machineSection(runs),
      `<section id="rerun"><h2>Run it again</h2><pre><code>${escapeHtml(command)}</code></pre></section>`,
      `<section id="files"><h2>Files</h2><p class="links">${["claims.csv", "claims.json", "laboratory.json"].map((file) => link(file, file)).join(" · ")}</p></section>`,
    ],
    STYLE,
  );
}

/** `6 experiments: 5 done, 1 skipped`, `40 claims: …` and `12 min 3 s`. */
export function laboratoryTally(runs: readonly LaboratoryRun[]): string[] {
  const count = (state: LaboratoryRun["state"]) => runs.filter((run) => run.state === state).length;
  const bad = runs.filter(({ state }) => !["done", "skipped", "waiting"].includes(state)).length;
  const states = [
    [count("done"), "done"],
    [bad, "ended otherwise"],
    [count("skipped"), "skipped"],
    [count("waiting"), "not run yet"],
  ] as const;
  const claims = runs.flatMap(({ record }) => record?.claims ?? []);
  const seconds = runs.reduce((sum, { record }) => sum + (record?.seconds ?? 0), 0);
  return [
    `${runs.length} experiments: ${states.flatMap(([n, words]) => (n === 0 ? [] : [`${n} ${words}`])).join(", ")}`,
    tallyText(claims),
    formatSeconds(seconds),
  ];
}

/** `1 min 3 s`, or a dash where nothing was measured. */
export function timeText({ record }: LaboratoryRun): string {
  return record === undefined ? "–" : formatSeconds(record.seconds);
}

/** Peak of live buffers. */
export function memoryText({ record }: LaboratoryRun): string {
  const bytes = numberOf(record?.environment.peakDeviceBytes);
  return bytes === null ? "–" : formatBytes(bytes);
}

export function stateText({ state }: LaboratoryRun): string {
  return state === "waiting" ? "not run yet" : state.replaceAll("_", " ");
}

function banner(runs: readonly LaboratoryRun[]): string {
  const { fails, open } = countVerdicts(runs.flatMap(({ record }) => record?.claims ?? []));
  const ended = runs.every(({ state }) => state === "done" || state === "skipped");
  const kind = !ended || fails > 0 ? "fails" : open > 0 ? "open" : "holds";
  const states = new Set(runs.map(({ state }) => state));
  const word = ended ? "Done" : states.has("waiting") || states.has("cancelled") ? "Unfinished" : "Incomplete";
  return `<p class="banner ${kind}" role="status"><strong>${word}</strong> · ${escapeHtml(laboratoryTally(runs).join(" · "))}</p>`;
}

function runsSection(runs: readonly LaboratoryRun[]): string {
  const rows = runs.map((run) => {
    const { experiment, title, state, reason, record } = run;
    const name = record === undefined ? escapeHtml(experiment) : link(`${experiment}/report.html`, experiment);
    const kind = state === "done" ? "" : state === "skipped" || state === "waiting" ? " soft" : " bad";
    const why = reason === undefined ? "" : `<p class="note">${escapeHtml(reason)}</p>`;
    const { holds, fails, open } = countVerdicts(record?.claims ?? []);
    const tally =
      record === undefined
        ? "–"
        : [
            ["holds", holds, "✓", "hold"],
            ["fails", fails, "✗", "fail"],
            ["open", open, "?", "not decided"],
          ]
            .filter(([, count]) => count !== 0)
            .map(
              ([kind, count, sign, word]) =>
                `<span class="verdict ${kind}" title="${count} ${word}">${sign} ${count}</span>`,
            )
            .join(" ") || "none";
    return `<tr><td data-label="Experiment"><strong>${name}</strong><br>${escapeHtml(title)}${why}</td>
<td data-label="Outcome" class="state${kind}">${escapeHtml(stateText(run))}</td>
<td data-label="Claims" class="tally">${tally}</td>
<td data-label="Time" class="number">${timeText(run)}</td>
<td data-label="Device memory" class="number">${memoryText(run)}</td></tr>`;
  });
  return `<section id="experiments"><h2>Experiments</h2>
<table class="stacked runs"><thead><tr><th scope="col">Experiment</th><th scope="col">Outcome</th><th scope="col">Claims</th><th scope="col">Time</th><th scope="col">Device memory</th></tr></thead>
<tbody>${rows.join("\n")}</tbody></table></section>`;
}

function claimsSection(runs: readonly LaboratoryRun[]): string {
  const groups = runs.flatMap(({ experiment, title, record }) => {
    if (record === undefined || record.claims.length === 0) return [];
    const heading = `<tr class="group"><th colspan="4" scope="rowgroup">${link(`${experiment}/report.html#claims`, experiment)} · ${escapeHtml(title)}</th></tr>`;
    return [`<tbody>${heading}\n${record.claims.map((claim) => claimRow(claim, experiment)).join("\n")}</tbody>`];
  });
  if (groups.length === 0) return "";
  return `<section id="claims"><h2>Claims</h2><table class="claims">${CLAIMS_HEAD}${groups.join("\n")}</table></section>`;
}

/** The machine, from the records: where runs were made on several, all values. */
function machineSection(runs: readonly LaboratoryRun[]): string {
  const environments = runs.flatMap(({ record }) => (record === undefined ? [] : [record.environment]));
  const facts: Record<string, (environment: Record<string, unknown>) => unknown> = {
    adapter: ({ adapter }) => (adapter as { description?: unknown } | undefined)?.description,
    processor: ({ cpu }) => cpu,
    cores: ({ cores }) => cores,
    deeplimit: ({ deeplimit }) => deeplimit,
    commit: ({ commit }) => commit,
    node: ({ node }) => node,
    webgpu: ({ webgpu }) => webgpu,
    date: ({ date }) => (typeof date === "string" ? date.slice(0, 10) : undefined),
  };
  const values = Object.entries(facts).flatMap(([name, of]) => {
    const found = [...new Set(environments.map(of).filter((value) => value !== undefined))].map(String);
    return found.length === 0 ? [] : [[name, found.join("; ")]];
  });
  if (values.length === 0) return "";
  return `<section id="machine"><h2>Machine</h2>${factsTable(Object.fromEntries(values))}</section>`;
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

const STYLE = `
main{max-width:1000px}
.claims td.number{white-space:normal;min-width:10em}
.runs .number{text-align:right}
.runs thead th:nth-child(n+4){text-align:right}
.runs .tally{white-space:nowrap}
.runs .verdict{padding:.05em .5em}
.runs .note{max-width:60ch}
.state{white-space:nowrap}
.state.bad{color:var(--bad);font-weight:600}
.state.soft{color:var(--soft)}
.group th{background:var(--tint);font-weight:600;padding-top:.8em}
.claims tbody+tbody .group th{border-top:2px solid var(--line)}
@media (max-width:640px){
.stacked,.stacked tbody{display:block}.stacked thead{display:none}
.stacked tr{display:block;border-bottom:1px solid var(--line);padding:.7em 0}
.stacked td{display:block;border:0;padding:.1em 0;white-space:normal}
.runs .number{text-align:left}
.stacked td:not([data-label=Experiment])::before{content:attr(data-label) ": ";color:var(--soft);font-weight:400}
.claims,.claims tbody{display:block}.claims .group th{display:block}
}
`;
