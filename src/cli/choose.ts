/** What the commands share: which experiment, preset and configuration is meant. */
import { ConfigError } from "../config/errors.ts";
import { type Experiment, PRESETS, type Preset } from "../experiment/experiment.ts";
import { nearest } from "./nearest.ts";
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

/** @throws ConfigError naming preset, key or field */
export function chooseConfig(
  experiment: AnyExperiment,
  options: { readonly preset?: string; readonly set: readonly string[] },
): { readonly preset: Preset; readonly config: unknown } {
  const name = options.preset ?? experiment.defaultPreset;
  const preset = PRESETS.find((candidate) => candidate === name);
  if (preset === undefined) throw unknownName("--preset", name, PRESETS);
  return { preset, config: applySettings(experiment.schema, experiment.presets[preset], options.set) };
}

function unknownName(field: string, name: string, known: readonly string[]): ConfigError {
  const near = nearest(name, known);
  const hint = near === undefined ? "" : ` (did you mean ${near}?)`;
  return new ConfigError(field, `must be ${known.length > 1 ? "one of " : ""}${known.join(", ")}${hint}`, name);
}
