import { wrap } from "../../report/text.ts";
import type { AnyExperiment } from "../choose.ts";

/** `deeplimit list`: a line on each experiment, and its presets. */
export function listText(experiments: readonly AnyExperiment[], width: number): string {
  const column = Math.max(...experiments.map(({ name }) => name.length), 0) + 2;
  const indent = " ".repeat(column);
  const blocks = experiments.map(({ name, title, presets: all, defaultPreset }) => {
    const presets = Object.keys(all)
      .map((preset) => (preset === defaultPreset ? `${preset} (default)` : preset))
      .join(", ");
    const lines = [...wrap(title, width - column), ...wrap(`presets: ${presets}`, width - column)];
    return lines.map((line, i) => (i === 0 ? name.padEnd(column) : indent) + line).join("\n");
  });
  return [...blocks, "Run one with: deeplimit run EXPERIMENT, all with: deeplimit run all"].join("\n\n");
}
