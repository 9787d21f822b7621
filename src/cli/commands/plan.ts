import type { ExperimentPlan } from "../../experiment/experiment.ts";
import { formatBytes } from "../../gpu/device.ts";
import { DEFAULT_PROFILE, type DeviceProfile, SOFTWARE_PROFILE } from "../../plan/device_profile.ts";
import { formatNumber } from "../../report/format.ts";
import { wrap } from "../../report/text.ts";
import { type AnyExperiment, type ConfigOptions, chooseConfig } from "../choose.ts";
import { flatten } from "../settings.ts";
import { columnsText, formatCount } from "../terminal.ts";

/** `default` is what every WebGPU implementation offers, `software` the adapter that comes through npm. */
export const PROFILES = { default: DEFAULT_PROFILE, software: SOFTWARE_PROFILE } as const satisfies Record<
  string,
  DeviceProfile
>;
export type ProfileName = keyof typeof PROFILES;

export interface PlanOptions extends ConfigOptions {
  readonly profile: ProfileName;
  readonly json?: boolean;
}

/**
 * `deeplimit plan`: what a run would do, without a GPU.
 * @throws ConfigError for the configuration, or a shape that the profile cannot hold
 */
export function planText(experiment: AnyExperiment, options: PlanOptions, width: number): string {
  const { preset, config } = chooseConfig(experiment, options);
  const plan = experiment.plan(config, PROFILES[options.profile]);
  if (options.json)
    return JSON.stringify({ experiment: experiment.name, preset, profile: options.profile, config, plan }, null, 2);
  return [
    `${experiment.name}, preset ${preset}, device profile ${options.profile}`,
    ...wrap(experiment.title, width),
    "",
    "Configuration (change it with --set KEY=VALUE)",
    ...configLines(config, width),
    "",
    ...solvesText(plan, width),
    ...(plan.trainings.length > 0 ? ["Trainings", trainingsText(plan, width), ""] : []),
    ...tensorsText(plan, width),
    ...notesText(plan, width),
    [...totals(plan), `at most ${formatBytes(plan.peakBytes)} on the device at a time`].join(", "),
  ].join("\n");
}

/** How much there is of each kind of work. */
function totals({ solves, trainings, layerSteps }: ExperimentPlan): string[] {
  const kernels = solves?.reduce((sum, row) => sum + row.kernels, 0);
  return [
    ...(kernels === undefined ? [] : [`${formatCount(kernels)} kernels`]),
    ...(trainings.length === 0
      ? []
      : [
          `${formatCount(trainings.reduce((sum, { count }) => sum + count, 0))} trainings`,
          `${formatNumber(layerSteps, 3)} layer-steps`,
        ]),
  ];
}

function solvesText({ solves }: ExperimentPlan, width: number): string[] {
  if (solves === undefined) return [];
  const rows = solves.map(({ label, kernels, trajectories, bytes }) => [
    `  ${label}`,
    formatCount(kernels),
    formatCount(trajectories),
    formatBytes(bytes),
  ]);
  const columns = ["  method", "kernels", "trajectories", "memory"].map((header, i) => ({
    header,
    align: i === 0 ? ("left" as const) : ("right" as const),
  }));
  return ["Solves", columnsText(columns, rows, width), ""];
}

function configLines(config: unknown, width: number): string[] {
  const fields = flatten(config);
  const column = Math.max(...fields.map(([key]) => key.length)) + 4;
  return fields.flatMap(([key, value]) => {
    const text = typeof value === "string" ? value : Array.isArray(value) ? value.map(show).join(", ") : show(value);
    const lines = wrap(text === "" ? '""' : text, Math.max(20, width - column));
    return lines.map((line, i) => (i === 0 ? `  ${key}`.padEnd(column) : " ".repeat(column)) + line);
  });
}

function show(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
}

function trainingsText(plan: ExperimentPlan, width: number): string {
  const rows = plan.trainings.map(({ label, count, steps, layout, segments, states, dispatchesPerStep, tensors }) => [
    `  ${label}`,
    formatCount(count),
    formatCount(steps),
    layout,
    `${segments}`,
    states,
    formatCount(dispatchesPerStep),
    formatBytes(total(tensors)),
  ]);
  const columns = ["  training", "runs", "steps", "layout", "segm.", "states", "disp./step", "memory"].map(
    (header) => ({
      header,
      align: ["  training", "layout", "states"].includes(header) ? ("left" as const) : ("right" as const),
    }),
  );
  return columnsText(columns, rows, width);
}

/** The tensors of the training that needs most memory: where the bytes are. */
function tensorsText(plan: ExperimentPlan, width: number): string[] {
  const largest = plan.trainings.toSorted((a, b) => total(b.tensors) - total(a.tensors))[0];
  if (largest === undefined) return [];
  const rows = Object.entries(largest.tensors)
    .sort(([, a], [, b]) => b - a)
    .map(([name, bytes]) => [`  ${name}`, formatBytes(bytes)]);
  return [
    ...wrap(`Memory of the largest training (${largest.label})`, width),
    columnsText([{ header: "  tensor" }, { header: "bytes", align: "right" }], rows, width),
    "",
  ];
}

function notesText(plan: ExperimentPlan, width: number): string[] {
  const trainings = new Map<string, string[]>();
  for (const { label, notes } of plan.trainings)
    for (const note of notes) trainings.set(note, [...(trainings.get(note) ?? []), label]);
  if (trainings.size === 0) return [];
  const lines = [...trainings].flatMap(([note, labels]) => {
    const which =
      labels.length === plan.trainings.length
        ? ""
        : ` (${labels.length === 1 ? labels[0] : `${labels.length} trainings`})`;
    return wrap(`${note}${which}`, width - 4).map((line, i) => (i === 0 ? `  - ${line}` : `    ${line}`));
  });
  return ["Notes", ...lines, ""];
}

function total(tensors: Readonly<Record<string, number>>): number {
  return Object.values(tensors).reduce((sum, bytes) => sum + bytes, 0);
}
