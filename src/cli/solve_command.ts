import { type Command, Option } from "commander";
import { ConfigError } from "../config/errors.ts";
import { SOLVE_CONTROLLERS, SOLVE_METHODS } from "../config/ode.ts";
import { formatNumber } from "../report/format.ts";
import { fieldsText, solve } from "./commands/solve.ts";
import { EXIT } from "./exit_code.ts";
import { ATOL, FORMATS, GRADIENTS, RTOL, type SolveOptions } from "./solve_options.ts";
import { widthOf } from "./terminal.ts";

/** Adds `solve` to the program. */
export function addSolve(program: Command, adapter: () => Option, done: (code: number) => void): void {
  const adaptive = ["rtol", "atol", "controller", "maxSteps"];
  program
    .command("solve")
    .description("integrate an ensemble of trajectories of an ODE, each with its own steps")
    .argument("[field]", "a built-in field (see --list), or FILE.wgsl with fn vector_field")
    .option("--list", "list the built-in fields")
    .option("--y0 <file>", "initial states, a row a trajectory (CSV or npy)")
    .option("--params <file>", "parameters, one row or a row a trajectory; a header may name some")
    .option("--t0 <time>", "start, or a file of one a trajectory (default: 0)")
    .option("--t1 <time>", "end, or a file of one a trajectory")
    .option("--method <name>", `${SOLVE_METHODS.join(", ")} (default: tsit5)`)
    .option("--rtol <x>", `relative tolerance of adaptive steps (default: ${formatNumber(RTOL)})`)
    .option("--atol <x>", `absolute tolerance (default: ${formatNumber(ATOL)})`)
    .option("--controller <name>", `${SOLVE_CONTROLLERS.join(", ")} (default: diffrax-i)`)
    .option("--max-steps <n>", "most steps of a trajectory (default: 100000)")
    .addOption(new Option("--dt <h>", "fixed steps of this length").conflicts([...adaptive, "steps"]))
    .addOption(new Option("--steps <n>", "this many fixed steps").conflicts(adaptive))
    .option("--save <what>", "end, grid:A:B:N, times:FILE, steps:K or statistics (default: end)")
    .option("--event <what>", "stop where a component has a value: x=0, or x=0,down,record,max=9")
    .option("--cotangents <file>", "derivatives of a loss by the final states, a row a trajectory: writes its gradient")
    .option("--adjoint <name>", `how the gradient is found: ${GRADIENTS.join(", ")} (default: replay)`)
    .option("--out <dir>", "directory of the results (default: runs/solve-FIELD)")
    .option("--format <name>", `${FORMATS.join(" or ")} (default: csv)`)
    .option("--force", "write over the files of an earlier solve")
    .addOption(adapter())
    .option("--json", "print the summary as JSON")
    .option("--quiet", "print only errors and the directory")
    .addHelpText(
      "after",
      `
Columns of --y0 and --params may have a header. Columns named t0, t1, rtol and
atol are those of the trajectory. What goes wrong in a trajectory is a status of
that trajectory; the others go on. Ctrl-C writes what is finished.

A field's text: fn vector_field(t: f32, y: State, p: Params) -> State, with
State = array<f32, DIM>. Comments at its head may say
  // components: x, y
  // parameters: a = 1, b = 2.5
With fn event_value(t: f32, y: State, p: Params) -> f32 it has an event of its
own: --event event_value. With --cotangents it needs
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback, the
products of w and its derivatives, Pullback { y: State, p: Params, t: f32 }.

Exit codes: 0 at least one trajectory got to its end, 1 none did.

Examples:
  deeplimit solve lorenz --t1 10 --save grid:0:10:101
  deeplimit solve lorenz --params sweep.csv --rtol 1e-6 --format npy
  deeplimit solve FILE.wgsl --y0 y0.csv --t1 20 --event x=0,down`,
    )
    .action(async (field: string | undefined, options: SolveOptions) => {
      if (options.list) {
        process.stdout.write(`${fieldsText(widthOf(process.stdout))}\n`);
        done(EXIT.ok);
        return;
      }
      if (field === undefined)
        throw new ConfigError("field", "must be given: a built-in one (deeplimit solve --list) or a .wgsl file");
      done(await solve(field, options));
    });
}
