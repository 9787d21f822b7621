import { existsSync } from "node:fs";
import { ConfigError } from "../../config/errors.ts";
import { writeFileAtomic } from "../../report/files.ts";
import { type AnyExperiment, chooseConfig, chooseExperiment } from "../choose.ts";
import { EXIT } from "../exit_code.ts";
import { namesFile } from "../run_description.ts";
import { exampleFile, experimentSchema, runSchema } from "../run_schema.ts";
import { shellQuote } from "../terminal.ts";

export interface InitOptions {
  readonly preset?: string;
  readonly out?: string;
  readonly force?: boolean;
}

/**
 * `deeplimit init`: a commented file that describes a run at a preset.
 * @returns the exit code
 * @throws ConfigError for a preset, a name of a file that `deeplimit run` would not take, or a file that is there
 */
export async function init(experiment: AnyExperiment, options: InitOptions): Promise<number> {
  const { preset } = chooseConfig(experiment, {
    set: [],
    ...(options.preset !== undefined && { preset: options.preset }),
  });
  const file = options.out ?? `${experiment.name}.yaml`;
  if (file === "-") {
    process.stdout.write(exampleFile(experiment, preset, `${experiment.name}.yaml`));
    return EXIT.ok;
  }
  if (!namesFile(file)) throw new ConfigError("--out", "must end in .yaml or .yml, or be - for the terminal", file);
  if (/\.json$/i.test(file)) throw new ConfigError("--out", "must end in .yaml or .yml: JSON has no comments", file);
  if (existsSync(file) && !options.force)
    throw new ConfigError("--out", "must not be there yet; --force replaces it", file);
  await writeFileAtomic(file, exampleFile(experiment, preset, file));
  process.stdout.write(`${file}\n`);
  process.stderr.write(`Run it with: deeplimit run ${shellQuote(file)}\n`);
  return EXIT.ok;
}

/** `deeplimit schema`: the JSON Schema of files that describe runs. */
export function schemaText(experiments: readonly AnyExperiment[], name: string | undefined): string {
  const schema = name === undefined ? runSchema(experiments) : experimentSchema(chooseExperiment(experiments, name));
  return JSON.stringify(schema, null, 2);
}
