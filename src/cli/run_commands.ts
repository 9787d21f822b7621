/** The commands about runs of experiments: what they would do, what describes them, and what they left. */
import { Argument, type Command, Option } from "commander";
import { PRESETS } from "../experiment/experiment.ts";
import { type AnyExperiment, chooseExperiment } from "./choose.ts";
import { type CompareOptions, compare } from "./commands/compare.ts";
import { type InitOptions, init, schemaText } from "./commands/describe.ts";
import { listText } from "./commands/list.ts";
import { type PlanOptions, PROFILES, planText } from "./commands/plan.ts";
import { type ReportOptions, report } from "./commands/report.ts";
import { type RunOptions, run } from "./commands/run.ts";
import { ALL, runAll } from "./commands/run_all.ts";
import { oneOf } from "./options.ts";
import { chooseRun } from "./run_description.ts";
import { widthOf } from "./terminal.ts";

/** Commander leaves out `set` when no `--set` is given. */
type Unlisted<T extends { set: readonly string[] }> = Omit<T, "set"> & Partial<Pick<T, "set">>;

/** Adds `list`, `plan`, `run`, `init`, `schema`, `report` and `compare` to the program. */
export function addRuns(
  program: Command,
  experiments: readonly AnyExperiment[],
  adapter: () => Option,
  done: (code: number) => void,
): void {
  const print = (text: string) => process.stdout.write(`${text}\n`);
  const preset = () =>
    new Option("--preset <name>", `size of the experiment: ${PRESETS.join(", ")} (default: the experiment's own)`);
  const set = () =>
    new Option(
      "--set <key=value>",
      "change a field of the preset, e.g. rate=0.1 or depths=16,64; repeatable",
    ).argParser((value: string, before: readonly string[] = []) => [...before, value]);
  const config = () =>
    new Option("--config <file>", "take preset, settings and options from a file (YAML or JSON), see `deeplimit init`");
  const example = experiments[0]?.name ?? "EXPERIMENT";

  program
    .command("list")
    .description("list the experiments and their presets")
    .action(() => {
      print(listText(experiments, widthOf(process.stdout)));
    });

  program
    .command("plan")
    .description("print what a run would do: configuration, trainings, memory, work")
    .addArgument(new Argument("<experiment>", "name of an experiment, see `deeplimit list`, or FILE.yaml"))
    .addOption(preset())
    .addOption(set())
    .addOption(config())
    .addOption(
      new Option("--profile <name>", "device to plan for: default (limits that every WebGPU offers) or software")
        .default("default", "default")
        .argParser(oneOf(Object.keys(PROFILES))),
    )
    .option("--json", "print JSON")
    .action(async (name: string, options: Unlisted<PlanOptions & { readonly config?: string }>) => {
      const { experiment, description } = await chooseRun(experiments, name, options.config);
      const all = { set: [], ...options, ...(description && { description }) };
      print(planText(experiment, all, widthOf(process.stdout)));
    });

  program
    .command("run")
    .description("run an experiment and write its report; `run all` runs every one")
    .addArgument(new Argument("<experiment>", "name of an experiment, see `deeplimit list`, FILE.yaml, or all"))
    .addOption(preset())
    .addOption(set())
    .addOption(config())
    .option("--data <dir>", "directory of the dataset, for experiments that read one (the field data)")
    .option("--out <dir>", "directory of the run (default: runs/EXPERIMENT-PRESET, or with the next free number)")
    .addOption(adapter())
    .option("--resume", "continue the run in the directory (without --out: the newest one)")
    .addOption(new Option("--force", "replace the run in the directory; other files stay").conflicts("resume"))
    .option("--check", "compare the first steps with the float64 reference")
    .option("--quiet", "print only errors and the report's path")
    .addHelpText(
      "after",
      `
The directory holds report.html, record.json, tables/ (CSV, JSON lines),
figures/ (SVG, PNG), and what --resume needs: cells/ and checkpoints/.
Ctrl-C stops the run after the current step and writes what there is.

\`run all\` runs the experiments one after another, at preset reduced unless
another is named, each into a directory of its own below that of --out, and
writes index.html, claims.csv and claims.json over all of them. One that fails
does not keep the others from running; the exit code is 1 then. A claim that
fails is a result, not an error.

Examples:
  deeplimit run ${example} --preset smoke
  deeplimit run ${example} --set KEY=VALUE --out runs/trial
  deeplimit run ${example} --resume
  deeplimit run trial.yaml --set KEY=VALUE
  deeplimit run all --preset smoke --out runs/laboratory

\`deeplimit plan ${example}\` prints the keys that --set takes. What is said on
the command line goes before what a file says.`,
    )
    .action(async (name: string, given: Unlisted<RunOptions & { readonly config?: string }>) => {
      const { config: file, ...options } = { set: [], ...given };
      if (name === ALL) {
        done(await runAll(experiments, { ...options, ...(file !== undefined && { file }) }));
        return;
      }
      const { experiment, description } = await chooseRun(experiments, name, file);
      done(await run(experiment, { ...description?.options, ...options, ...(description && { description }) }));
    });

  program
    .command("init")
    .description("write a file that describes a run: every field of a preset, explained")
    .addArgument(new Argument("<experiment>", "name of an experiment, see `deeplimit list`"))
    .addOption(preset())
    .option("--out <file>", "FILE.yaml, or - for the terminal (default: EXPERIMENT.yaml)")
    .option("--force", "replace the file")
    .addHelpText(
      "after",
      `
Fields that are left out of the file are those of the preset.

Examples:
  deeplimit init ${example} --preset smoke --out trial.yaml
  deeplimit run trial.yaml`,
    )
    .action(async (name: string, options: InitOptions) => {
      done(await init(chooseExperiment(experiments, name), options));
    });

  program
    .command("schema")
    .description("print the JSON Schema of files that describe runs, for editors")
    .addArgument(new Argument("[experiment]", "of one experiment only (default: of all)"))
    .action((name: string | undefined) => {
      print(schemaText(experiments, name));
    });

  program
    .command("report")
    .description("make the page and figures of a run again, from its record alone")
    .addArgument(new Argument("<directory>", "of a run, or of `run all`: then of all its runs"))
    .option("--quiet", "print only errors and the report's path")
    .action(async (directory: string, options: ReportOptions) => {
      done(await report(directory, options));
    });

  program
    .command("compare")
    .description("show runs of one experiment side by side: claims, curves, environments")
    .addArgument(new Argument("<directories...>", "of the runs, the first being what the others are compared with"))
    .addOption(
      new Option("--out <file>", "the page, replaced when it is there").default("compare.html", "compare.html"),
    )
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Claims are matched by their ids. Figures that both runs drew from the same
columns are drawn on common axes. Differences of parameters and environments
are listed.

Examples:
  deeplimit compare runs/${example}-reduced runs/${example}-reduced-2
  deeplimit compare runs/a runs/b runs/c --out abc.html`,
    )
    .action(async (directories: string[], options: CompareOptions) => {
      done(await compare(directories, options));
    });
}
