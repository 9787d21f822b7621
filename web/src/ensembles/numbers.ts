import { html } from "lit";
import type { EnsembleFrame } from "./protocol.ts";

const REASONS: Readonly<Record<string, string>> = {
  max_steps: "too many steps",
  dt_min: "steps too short",
  non_finite: "not finite",
  newton_fail: "Newton’s method",
};

/** Where the ensemble stands. */
export function ensembleNumbers(frame: EnsembleFrame | undefined, running: boolean) {
  return html`<div class="scroll">
    <table class="numbers">
      <tbody>
        <tr><th scope="row">Time t</th><td><output class="time">${frame ? significant(frame.t) : "–"}</output></td></tr>
        <tr><th scope="row">Trajectories at t, failed</th><td>${frame ? counts(frame) : "–"}</td></tr>
        <tr><th scope="row">Steps accepted, rejected</th><td>${frame ? `${whole(frame.accepted)}, ${whole(frame.rejected)}` : "–"}</td></tr>
        <tr>
          <th scope="row">Steps, pictures a second</th>
          <td>${frame && running && frame.picturesPerSecond > 0 ? `${whole(frame.stepsPerSecond)}, ${significant(frame.picturesPerSecond)}` : "–"}</td>
        </tr>
      </tbody>
    </table>
  </div>`;
}

function counts({ trajectories, failed }: EnsembleFrame): string {
  const parts = Object.entries(failed);
  const sum = parts.reduce((total, [, count]) => total + count, 0);
  const why = parts.map(([status, count]) => `${whole(count)} ${REASONS[status] ?? status}`);
  return `${whole(trajectories - sum)}, ${whole(sum)}${why.length > 0 ? ` (${why.join(", ")})` : ""}`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

function significant(value: number): string {
  return String(Number(value.toPrecision(4)));
}
