/** What the commands share: which experiment, preset and configuration is meant. */
import { ConfigError } from "../config/errors.ts";
import type { Experiment } from "../experiment/experiment.ts";
import { nearest } from "./nearest.ts";
import type { RunDescription } from "./run_description.ts";
import { applySettings } from "./settings.ts";

/** Every experiment has its own type of configuration; the command line passes it from one method to the other unseen. */
export type AnyExperiment = Experiment<unknown>;

/** @throws ConfigError with the nearest name */
export function chooseExperiment(experiments: readonly AnyExperiment[], name: string): AnyExperiment {
  const found = experiments.find((experiment) => experiment.name === name);
  if (found) return found;
  throw unknownName(
    "experiment",
    name,
    experiments.map((experiment) => experiment.name),
  );
}

/** What may be said of an experiment's configuration. */
export interface ConfigOptions {
  readonly preset?: string;
  readonly set: readonly string[];
  /** A file that describes the run; what is said beside it goes before what it says. */
  readonly description?: RunDescription;
}

/** @throws ConfigError naming preset, key or field; SourceError where a file describes the run */
export function chooseConfig(
  experiment: AnyExperiment,
  { preset, set, description }: ConfigOptions,
): { readonly preset: string; readonly config: unknown } {
  const name = preset ?? description?.asked.preset ?? experiment.defaultPreset;
  const known = Object.keys(experiment.presets);
  if (!known.includes(name)) {
    if (preset === undefined && description !== undefined)
      throw description.locate({ path: ["preset"], error: unknownName("preset", name, known) });
    throw unknownName("--preset", name, known);
  }
  const overrides = description?.overrides();
  return { preset: name, config: applySettings(experiment.schema, experiment.presets[name], set, overrides) };
}

/** Says which names there are, and which of them was most likely meant. */
export function unknownName(field: string, name: string, known: readonly string[]): ConfigError {
  const near = nearest(name, known);
  const hint = near === undefined ? "" : ` (did you mean ${near}?)`;
  return new ConfigError(field, `must be ${known.length > 1 ? "one of " : ""}${known.join(", ")}${hint}`, name);
}
