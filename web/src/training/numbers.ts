import { html, nothing } from "lit";
import { smoothnessVerdict } from "../../../src/experiment/single_training/config.ts";
import { formatBytes } from "../../../src/gpu/device.ts";
import type { Family, Frame } from "./protocol.ts";
import { NAMES, type Shown, speedOf } from "./shown.ts";

const ROWS: readonly [label: string, cell: (shown: Shown, running: boolean) => unknown][] = [
  ["Step", ({ now }) => html`<output class="step">${now?.step ?? "–"}</output>`],
  ["Training time t", ({ now }) => significant(now?.time)],
  ["Loss", ({ now }) => html`<output class="loss">${significant(now?.loss)}</output>`],
  ["L·max‖ΔV‖, L·max‖ΔW‖", ({ now }) => `${significant(now?.lipschitz.V)}, ${significant(now?.lipschitz.W)}`],
  ["V over depth", ({ now }) => verdict(now, "V")],
  ["W over depth", ({ now }) => verdict(now, "W")],
  [
    "Steps a second",
    (shown, running) => html`<output class="speed">${running ? significant(speedOf(shown)) : "–"}</output>`,
  ],
  ["A step, a layer of it", ({ now, built }) => cost(now, built?.depth)],
  ["Device memory", ({ built }) => (built ? `${formatBytes(built.bytes)}, layout ${built.layout}` : "–")],
];

/** Where each network stands, and what the claims come to. */
export function numbers(shown: readonly Shown[], running: boolean) {
  return html`<div class="scroll">
    <table class="numbers">
      <thead>
        <tr>
          <th scope="col">Now</th>
          ${shown.map(
            (_, slot) =>
              html`<th scope="col"><span class=${`swatch ${NAMES[slot]!.toLowerCase()}`}></span>${NAMES[slot]}</th>`,
          )}
        </tr>
      </thead>
      <tbody>
        ${ROWS.map(
          ([label, cell]) => html`<tr>
            <th scope="row">${label}</th>
            ${shown.map((each, slot) => html`<td data-slot=${NAMES[slot]!}>${cell(each, running)}</td>`)}
          </tr>`,
        )}
      </tbody>
    </table>
    <p class="help">
      Smooth: half of von Neumann's ratio of the layers' weights (in brackets) is at most 0.05, that of waves over depth
      of 20 layers or more; ragged: at least 0.2, waves of 10 layers or fewer. Independent layers have 1.
    </p>
  </div>`;
}

function cost(now: Frame | undefined, depth: number | undefined): string {
  if (!now || depth === undefined || now.stepMs === 0) return "–";
  return `${significant(now.stepMs)} ms, ${significant((1000 * now.stepMs) / depth)} µs`;
}

function significant(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return "–";
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

function verdict(now: Frame | undefined, family: Family) {
  const roughness = now?.roughness[family] ?? null;
  const said = { holds: "smooth", fails: "ragged", "not decided": "not decided" }[smoothnessVerdict(roughness)];
  return html`<span class=${`verdict ${said.replace(" ", "-")}`}>${said}</span>${
    roughness === null ? nothing : ` (${significant(roughness)})`
  }`;
}
