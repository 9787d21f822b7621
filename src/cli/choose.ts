/** What the commands share: which experiment, preset and configuration is meant. */
import { ConfigError } from "../config/errors.ts";
import type { Experiment } from "../experiment/experiment.ts";
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
): { readonly preset: string; readonly config: unknown } {
  const name = options.preset ?? experiment.defaultPreset;
  const known = Object.keys(experiment.presets);
  if (!known.includes(name)) throw unknownName("--preset", name, known);
  return { preset: name, config: applySettings(experiment.schema, experiment.presets[name], options.set) };
}

function unknownName(field: string, name: string, known: readonly string[]): ConfigError {
  const near = nearest(name, known);
  const hint = near === undefined ? "" : ` (did you mean ${near}?)`;
  return new ConfigError(field, `must be ${known.length > 1 ? "one of " : ""}${known.join(", ")}${hint}`, name);
}
