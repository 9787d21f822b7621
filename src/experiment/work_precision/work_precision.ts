/**
 * Error reached against work: time of a trajectory, and evaluations of the right-hand side, for several methods over
 * tolerances. Equal tolerances say little about equal errors, so methods are compared at the error they reach.
 */
import { DeviceError } from "../../gpu/errors.ts";
import type { Experiment, ExperimentContext, ExperimentPlan, ExperimentResult } from "../experiment.ts";
import type { RunStatus } from "../record.ts";
import { solveBytes } from "../solve_plan.ts";
import {
  PRESETS,
  type SweepName,
  solvedBy,
  sweepOf,
  tolerancesOf,
  type WorkPrecisionConfig,
  workPrecisionSchema,
} from "./config.ts";
import { claims, type FloorRow, figures, notes, tables } from "./report.ts";
import { type PointRow, solveCurve, type Truth, truthOf } from "./solves.ts";

export const workPrecision: Experiment<WorkPrecisionConfig> = {
  name: "work-precision",
  title: "ODE solvers: error reached against time and evaluations",
  summary:
    "Ensembles of Lorenz, Lotka–Volterra, Kepler and Robertson problems are integrated by methods of order 2 to 8 over a range of tolerances, all float32, one trajectory an " +
    "invocation. The error is the one reached, against float64 solves of the same inputs, not the tolerance asked for; the work is the time of a trajectory in its ensemble on this device, and the number of " +
    "evaluations of the right-hand side, which is the same on every device.",
  schema: workPrecisionSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan,
  run,
};

function plan(config: WorkPrecisionConfig, profile: Parameters<Experiment["plan"]>[1]): ExperimentPlan {
  const { problems, methods, trajectories, repeats } = config;
  const solves = methods.map((method) => {
    const own = problems.filter((name) => solvedBy(name, method));
    const bytes = own.map((name) => {
      const { dimension, parameters } = sweepOf(name, 2).problem;
      return solveBytes(method, { trajectories, dimension, parameters: parameters.length }, profile);
    });
    return {
      label: method,
      kernels: own.length,
      trajectories: own.length * tolerancesOf(config, method).length * (repeats + 1) * trajectories,
      bytes: Math.max(0, ...bytes),
    };
  });
  return { trainings: [], solves, peakBytes: Math.max(...solves.map(({ bytes }) => bytes)), layerSteps: 0 };
}

async function run(context: ExperimentContext<WorkPrecisionConfig>): Promise<ExperimentResult> {
  const { config, gpu, cells, signal } = context;
  const { problems, methods, trajectories, sample } = config;
  const points: PointRow[] = [];
  const floors: FloorRow[] = [];
  let status: RunStatus = "done";
  let statusDetail: string | undefined;
  const jobs = problems.flatMap((name) =>
    methods.filter((method) => solvedBy(name, method)).map((method) => ({ name, method })),
  );
  let done = 0;
  const truths = new Map<SweepName, Truth>();
  const cell = async <T>(id: string, compute: () => T | Promise<T>): Promise<T> => {
    const found = (await cells.load(id)) as T | undefined;
    if (found !== undefined) return found;
    const result = await compute();
    await cells.save(id, result);
    return result;
  };
  try {
    for (const { name, method } of jobs) {
      if (signal.aborted) {
        status = "cancelled";
        statusDetail = `stopped after ${done} of ${jobs.length} curves`;
        break;
      }
      const sweep = sweepOf(name, trajectories);
      let truth = truths.get(name);
      if (truth === undefined) {
        truth = await cell(`truth_${name}`, () => truthOf(sweep, sample));
        truths.set(name, truth);
        floors.push({ problem: name, floor: truth.floor });
      }
      const known = truth;
      points.push(...(await cell(`${name}_${method}`, () => solveCurve(gpu, config, sweep, known, method))));
      done++;
      context.progress({ done, total: jobs.length, label: `${name} by ${method}` });
    }
  } catch (error) {
    if (!(error instanceof DeviceError && (error.kind === "device_lost" || error.kind === "out_of_memory")))
      throw error;
    status = error.kind;
    statusDetail = error.message;
  }
  return {
    status,
    ...(statusDetail !== undefined && { statusDetail }),
    tables: tables(points, floors),
    figures: figures(config),
    claims: claims(points, floors),
    notes: notes(config),
  };
}
