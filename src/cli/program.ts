import { Command, CommanderError, Option } from "commander";
import { ConfigError, DataError, SourceError } from "../config/errors.ts";
import { DeviceError, KernelError } from "../gpu/errors.ts";
import { ADAPTER_CHOICES } from "../gpu/node_adapter.ts";
import { type BenchOptions, SUITES } from "./bench_settings.ts";
import type { AnyExperiment } from "./choose.ts";
import { bench } from "./commands/bench.ts";
import { type DoctorOptions, doctor } from "./commands/doctor.ts";
import { type TuneCommandOptions, tuneCommand } from "./commands/tune.ts";
import { EXIT } from "./exit_code.ts";
import { oneOf } from "./options.ts";
import { packageFacts } from "./package_facts.ts";
import { addRuns } from "./run_commands.ts";
import { addSolve } from "./solve_command.ts";

/**
 * The command line as a function: parses, runs one command, prints errors as one line.
 * @param argv arguments after the program's name
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted
 */
export async function main(argv: readonly string[], experiments: readonly AnyExperiment[]): Promise<number> {
  let code: number = EXIT.ok;
  const program = buildProgram(experiments, (result) => {
    code = result;
  });
  try {
    await program.parseAsync(argv, { from: "user" });
    return code;
  } catch (error) {
    return report(error);
  }
}

/** Commander leaves out `shape` when no `--shape` is given. */
type Unshaped<T extends { shape: readonly string[] }> = Omit<T, "shape"> & Partial<Pick<T, "shape">>;

function buildProgram(experiments: readonly AnyExperiment[], done: (code: number) => void): Command {
  // A file that describes a run may name the device: what was not asked stays open.
  const runAdapter = () =>
    new Option(
      "--adapter <kind>",
      "device: auto, hardware, software, lavapipe or swiftshader; auto takes hardware if there is any",
    ).argParser(oneOf(ADAPTER_CHOICES));
  const adapter = () => runAdapter().default("auto", "auto");
  const example = experiments[0]?.name ?? "EXPERIMENT";

  const program = new Command("deeplimit")
    .description("Very deep residual networks by gradient flow, on the GPU.")
    .version(packageFacts().version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help on a command")
    .addHelpText(
      "after",
      `
Examples:
${examples([
  ["deeplimit list", "what can be run"],
  [`deeplimit plan ${example} --preset paper`, "memory and work, without a GPU"],
  [`deeplimit run ${example} --preset smoke`, `into runs/${example}-smoke`],
  [`deeplimit run ${example} --resume`, "continue after Ctrl-C"],
  ["deeplimit run all", "every experiment, one page of claims"],
  [`deeplimit init ${example}`, "a file that describes a run"],
  ["deeplimit compare runs/a runs/b", "two runs side by side"],
  ["deeplimit solve lorenz --t1 10", "an ODE, or many thousands of them"],
  ["deeplimit bench --quick", "how fast is this machine?"],
  ["deeplimit doctor", "is there a usable device?"],
])}

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.
DEEPLIMIT_DEBUG=1 prints stack traces.`,
    );

  addRuns(program, experiments, runAdapter, done);
  addSolve(program, adapter, done);

  const measuring = [
    "suite",
    "depth",
    "width",
    "batch",
    "peers",
    "peerDepth",
    "trajectories",
    "odePeers",
    "rounds",
    "steps",
    "python",
    "quick",
    "out",
  ];
  program
    .command("bench")
    .description("measure this device, its kernels, training steps and ensembles, and other libraries")
    .option("--suite <list>", `of ${Object.keys(SUITES).join(", ")} (default: all)`)
    .option("--depth <list>", "depths of the training step, e.g. 64,1024")
    .option("--width <list>", "widths of the training step")
    .option("--batch <list>", "batches of the training step")
    .option("--peers <list>", "NAME[:ADAPTER][@DEPTH], e.g. pytorch,tfjs-webgpu@1024")
    .option("--peer-depth <list>", "depths of the step that peers take")
    .option("--conv-peers <list>", "the same for the convolutional network")
    .option("--conv-depth <list>", "depths of the convolutional network")
    .option("--trajectories <list>", "sizes of the ensembles of ODEs, e.g. 10000,1048576")
    .option("--ode-peers <list>", "NAME[:ADAPTER][@TRAJECTORIES], e.g. handwritten,odex,diffrax")
    .option("--rounds <n>", "times that all peers take turns")
    .option("--steps <n>", "timed steps or solves of a size, and of a peer in a round")
    .option("--python <path>", "Python of the peers that need one")
    .addOption(adapter())
    .option("--quick", "tiny sizes, few samples: a first look, not to be quoted")
    .option("--json", "print JSON")
    .option("--out <name>", "NAME.json and NAME.html (default: after device and date)")
    .addOption(
      new Option(
        "--compare <files...>",
        "how two records differ: BEFORE.json AFTER.json; nothing is measured",
      ).conflicts(measuring),
    )
    .option("--fail-on-regression", "with --compare: exit code 1 when something became slower")
    .addHelpText(
      "after",
      `
Files go into bench/results within the repository, otherwise into the current
directory. Ctrl-C ends the process being measured, or the suite, and writes
what there is.
Peers need the repository and \`npm ci --prefix bench/peers\`.

Examples:
  deeplimit bench --quick
  deeplimit bench --suite ceilings,kernels --adapter hardware
  deeplimit bench --suite peers --peers deeplimit,pytorch --peer-depth 64,1024
  deeplimit bench --compare BEFORE.json AFTER.json --fail-on-regression`,
    )
    .action(async (options: BenchOptions) => {
      done(await bench(options));
    });

  program
    .command("tune")
    .description("measure which layouts of layers are fastest on this device, and keep them")
    .addOption(
      new Option(
        "--shape <q=…,m=…,n=…>",
        "width, hidden units and rows; repeatable (default: those of the experiments)",
      ).argParser((value: string, before: readonly string[] = []) => [...before, value]),
    )
    .addOption(
      new Option("--depth <L>", "layers of the network measured, fewer where a step would be long").default(
        "256",
        "256",
      ),
    )
    .addOption(new Option("--rounds <n>", "times that all candidates take turns").default("5", "5"))
    .addOption(adapter())
    .option("--dry-run", "list what would be measured")
    .addOption(new Option("--reset", "forget what was kept for this device").conflicts(["shape", "dryRun"]))
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
A choice is kept only if it was faster than the plan's own in every round.
Runs that begin later take it; a resumed run keeps what it began with.
It is kept in $XDG_CACHE_HOME/deeplimit/tuning.json (else ~/.cache) for this
device, driver and version. DEEPLIMIT_TUNING=off: every plan takes its own.

Examples:
  deeplimit tune
  deeplimit tune --shape q=16,m=32,n=100 --shape q=256,m=256,n=1024
  deeplimit tune --dry-run`,
    )
    .action(async (options: Unshaped<TuneCommandOptions>) => {
      done(await tuneCommand(experiments, { shape: [], ...options }));
    });

  program
    .command("doctor")
    .description("show the device, why others were refused, and test it")
    .addOption(adapter())
    .option("--json", "print JSON")
    .action(async (options: DoctorOptions) => {
      done(await doctor(options));
    });

  // Errors are thrown to `main`, which prints each as one line.
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ outputError: () => {} });
  return program;
}

function examples(rows: readonly (readonly [command: string, meaning: string])[]): string {
  const column = Math.max(...rows.map(([command]) => command.length)) + 2;
  return rows.map(([command, meaning]) => `  ${command.padEnd(column)}${meaning}`).join("\n");
}

/** Prints an error as one line and returns the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
  // Without a command the help has been printed, and says enough.
  if (error instanceof CommanderError && error.code === "commander.help") return EXIT.usage;
  const usage = error instanceof CommanderError || error instanceof ConfigError || error instanceof SourceError;
  const known = usage || error instanceof DataError || error instanceof DeviceError;
  const message = error instanceof Error ? error.message : String(error);
  // Commander puts "(Did you mean …?)" on a line of its own.
  const text = message.replace(/^error: /, "");
  // The user's text is shown with the place of the error.
  const whole = error instanceof SourceError;
  const line = error instanceof CommanderError ? text.replace(/\s*\n\s*/g, " ") : whole ? text : text.split("\n")[0]!;
  const prefix = known || error instanceof KernelError ? "" : "internal error: ";
  const debug = process.env.DEEPLIMIT_DEBUG === "1";
  const missing =
    error instanceof CommanderError &&
    error.code === "commander.missingArgument" &&
    error.message.includes("'experiment'");
  const hint = missing ? " (see deeplimit list)" : known || debug ? "" : " (DEEPLIMIT_DEBUG=1 shows where)";
  process.stderr.write(`error: ${prefix}${line}${hint}\n`);
  if (debug && error instanceof Error && !(error instanceof CommanderError)) process.stderr.write(`${error.stack}\n`);
  if (debug && error instanceof KernelError && error.source !== undefined) process.stderr.write(`${error.source}\n`);
  return usage ? EXIT.usage : EXIT.failure;
}
