/**
 * Every test problem with a known solution by the ensemble solver, on the device at hand: errors against tolerances, what
 * float32 costs, invariants, step counts against a CPU emulation, independence of the neighbours, orders of the methods.
 */
import { DeviceError } from "../../gpu/errors.ts";
import type { Experiment, ExperimentContext, ExperimentPlan, ExperimentResult } from "../experiment.ts";
import type { RunStatus } from "../record.ts";
import { isAdaptive, solveBytes } from "../solve_plan.ts";
import { claims } from "./claims.ts";
import {
  type ConformanceConfig,
  conformanceSchema,
  fieldName,
  type Group,
  groupsOf,
  PRESETS,
  tolerancesOf,
} from "./config.ts";
import { type OrderRow, orderRow } from "./orders.ts";
import { figures, notes, tables } from "./report.ts";
import { type SolvedRow, solveGroup } from "./solves.ts";

export const conformance: Experiment<ConformanceConfig> = {
  name: "conformance",
  title: "ODE solvers against closed forms: DETEST, SciML, torchdiffeq, and chaotic and stiff problems",
  summary:
    "The ensemble solver integrates 42 initial-value problems with known solutions (the 25 of DETEST, which Hull, Enright, Fellen and Sedgwick published in " +
    "1972; those of the SciML library and of torchdiffeq's and diffrax's tests; Lorenz, Lotka–Volterra, Van der Pol, Brusselator, Robertson and others) at several tolerances, " +
    "all float32. Each error is held against a bound that is derived, not fitted: what an error of the tolerance and a few roundings in every step come to at the " +
    "end. Beside it: the float64 reference with the same coefficients, invariants, step counts of a float32 emulation on the CPU, bits with other neighbours, and the order of every method.",
  schema: conformanceSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan,
  run,
};

function trajectories(config: ConformanceConfig, { method, problems }: Group): number {
  return problems.length * (isAdaptive(method) ? tolerancesOf(config, method).length : 1);
}

function plan(config: ConformanceConfig, profile: Parameters<Experiment["plan"]>[1]): ExperimentPlan {
  const solves = config.methods.map((method) => {
    const groups = groupsOf(config).filter((group) => group.method === method);
    const bytes = groups.map((group) => {
      const [{ dimension, parameters }] = group.problems;
      const shape = { trajectories: trajectories(config, group), dimension, parameters: parameters.length };
      return solveBytes(method, shape, profile);
    });
    return {
      label: method,
      kernels: groups.length,
      trajectories: groups.reduce(
        (sum, group) => sum + trajectories(config, group) * (isAdaptive(method) ? 1 : config.steps.length),
        0,
      ),
      bytes: Math.max(0, ...bytes),
    };
  });
  return { trainings: [], solves, peakBytes: Math.max(...solves.map(({ bytes }) => bytes)), layerSteps: 0 };
}

async function run(context: ExperimentContext<ConformanceConfig>): Promise<ExperimentResult> {
  const { config, gpu, cells, signal } = context;
  const groups = groupsOf(config);
  const rows: SolvedRow[] = [];
  const orders: OrderRow[] = [];
  let status: RunStatus = "done";
  let statusDetail: string | undefined;
  const total = groups.length + config.methods.length;
  let done = 0;
  const cell = async <T>(id: string, label: string, compute: () => Promise<T>): Promise<T> => {
    const found = (await cells.load(id)) as T | undefined;
    const result = found ?? (await compute());
    if (found === undefined) await cells.save(id, result);
    done++;
    context.progress({ done, total, label });
    return result;
  };
  try {
    for (const group of groups) {
      if (signal.aborted) break;
      rows.push(
        ...(await cell(group.id, `${fieldName(group.problems[0])} by ${group.method}`, () =>
          solveGroup(gpu, config, group),
        )),
      );
    }
    for (const method of config.methods) {
      if (signal.aborted) break;
      orders.push(await cell(`order_${method}`, `order of ${method}`, async () => orderRow(method)));
    }
    if (signal.aborted) {
      status = "cancelled";
      statusDetail = `stopped after ${done} of ${total} parts`;
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
    tables: tables(rows, orders),
    figures: figures(config),
    claims: claims(config, rows, orders),
    notes: notes(config),
  };
}
