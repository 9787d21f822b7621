import type { Cell, Figure, Table } from "../record.ts";
import { CONFIDENCE, FIT_FROM, find, gap, type Rate, secondsPerStep, snapshotAt, stacks } from "./claims.ts";
import { FAMILIES, type LimitDynamicsConfig, PAPER } from "./config.ts";
import type { LimitDynamics } from "./training.ts";

type Row = Record<string, Cell>;

const NAME = { name: "name", description: "stack by its depth, or discretisation of the limit" };
const STEP = { name: "step", description: "iterations (Euler steps) taken" };
const TIME = { name: "time", description: "training time of the flow: iterations · η" };
const FAMILY = { name: "family", description: "V or W" };
const DEPTH = { name: "depth", unit: "layers", description: "L of a stack; of a limit the number of coefficients" };
const DISTANCE = {
  name: "distance",
  description:
    "to the limit: (∫ ‖difference‖² ds)^{1/2} with the Frobenius norm; a stack's layers are constant on cells of length 1/L",
};

export function tables(config: LimitDynamicsConfig, result: LimitDynamics, rates: readonly Rate[]): Table[] {
  const rows = result.trained.flatMap(({ discretisation: { name, kind, depth }, snapshots }) =>
    snapshots.map(({ step, loss, distance }) => ({ name, kind, depth, step, loss, distance })),
  );
  const time = (step: number) => step * config.rate;
  return [
    {
      name: "loss",
      description: "Loss of every training at every recorded iteration.",
      columns: [
        NAME,
        { name: "kind", description: "stack, limit, or finer: the second discretisation of the limit" },
        DEPTH,
        STEP,
        TIME,
        { name: "loss", description: "at this iteration" },
        { name: "difference", description: "absolute difference to the limit's loss" },
      ],
      rows: rows.map(({ name, kind, depth, step, loss }) => {
        const limit = snapshotAt(find(result, "limit"), step)?.loss;
        const difference = kind === "limit" || limit === undefined ? null : Math.abs(loss - limit);
        return { name, kind, depth, step, time: time(step), loss, difference };
      }),
    },
    {
      name: "distances",
      description: "Distance of V and W, as functions of depth, to those of the limiting dynamics.",
      columns: [NAME, { name: "kind", description: "stack or finer" }, DEPTH, STEP, TIME, FAMILY, DISTANCE],
      rows: rows.flatMap(({ name, kind, depth, step, distance }) =>
        distance === null
          ? []
          : FAMILIES.map((family) => ({
              name,
              kind,
              depth,
              step,
              time: time(step),
              family,
              distance: distance[family],
            })),
      ),
    },
    {
      name: "rates",
      description: `Slope of log distance to the limit against log L by least squares, over L >= ${FIT_FROM}.`,
      columns: [
        STEP,
        { name: "quantity", description: "V and W: distance in L²; loss: absolute difference of the losses" },
        { name: "slope", description: "exponent p of distance ≈ C·L^p" },
        {
          name: "lower",
          description: `lower end of the ${100 * CONFIDENCE}% interval (scatter about a line, not over random draws)`,
        },
        { name: "upper", description: "upper end" },
        { name: "points", unit: "depths", description: "depths in the fit" },
      ],
      rows: rates.map(({ quantity, step, fit }) => ({
        step,
        quantity,
        slope: fit.slope,
        lower: fit.interval[0],
        upper: fit.interval[1],
        points: fit.points,
      })),
    },
    {
      name: "profiles",
      description: `One entry of V after ${config.steps} iterations, layer by layer: the one that varies most over depth in the limit.`,
      columns: [
        NAME,
        DEPTH,
        { name: "s", description: "depth: the middle of the layer's cell, (k − 1/2)/L" },
        { name: "value", description: "the entry of V_k" },
        { name: "limit", description: "the same entry of the limit at s" },
        { name: "scaled", description: "L · (value − limit)" },
      ],
      rows: result.profiles,
    },
    {
      name: "cost",
      description: `Time of the fastest iterations on this device, and distance to the limit after ${config.stackSteps} iterations. The limit's is that to its finer discretisation.`,
      columns: [
        NAME,
        { name: "kind", description: "stack, limit or finer" },
        {
          name: "stages",
          description: "evaluations of the right-hand side in a forward pass: layers, or steps · stages",
        },
        { name: "seconds", unit: "s", description: "time of an iteration" },
        FAMILY,
        DISTANCE,
      ],
      rows: costs(config, result),
    },
  ];
}

function costs({ stackSteps }: LimitDynamicsConfig, result: LimitDynamics): Row[] {
  const compared = [find(result, "limit") ?? [], ...stacks(result)].flat();
  return compared.flatMap((trained) => {
    const { name, kind, stages } = trained.discretisation;
    const seconds = secondsPerStep(trained) ?? null;
    return FAMILIES.map((family) => {
      const distance = gap(result, kind === "limit" ? find(result, "finer") : trained, family, stackSteps) ?? null;
      return { name: kind === "stack" ? name : kind, kind, stages, seconds, family, distance };
    });
  });
}

export function figures(config: LimitDynamicsConfig, result: LimitDynamics): Figure[] {
  const { steps, stackSteps } = config;
  const inverse = [{ slope: -1, label: "slope −1" }];
  const finer = find(result, "finer");
  const level = FAMILIES.flatMap((family) => {
    const value = gap(result, finer, family, steps);
    return value !== undefined && value > 0 ? [{ value, label: `error of the limit, ${family}` }] : [];
  });
  const deepest = Math.max(...stacks(result).map(({ discretisation }) => discretisation.depth));
  const steppedTo = snapshotAt(finer, steps) ? steps : stackSteps;
  return [
    {
      name: "distance-by-depth",
      title: "Stacks converge to the limiting dynamics like 1/L",
      caption:
        `Distance in L²([0,1]) of V and W to those of the limit, after ${steps} iterations. The level lines are the distance between two ` +
        "discretisations of the limit: how well the limit itself is known. Theorem 4 states convergence without a rate.",
      table: "distances",
      kind: "line",
      x: { field: "depth", label: "depth L", scale: "log2" },
      y: { field: "distance", label: "distance to the limit", scale: "log" },
      color: { field: "family", label: "weights" },
      guides: inverse,
      roof: { rising: [], level },
      where: { step: steppedTo, kind: "stack" },
    },
    {
      name: "distance-by-iteration",
      title: "The distance grows with training, the rate stays",
      caption: "Distance of V to the limit's, one curve a depth.",
      table: "distances",
      kind: "line",
      x: { field: "step", label: "iteration" },
      y: { field: "distance", label: "distance of V to the limit", scale: "log" },
      color: { field: "depth", label: "depth L", scale: "log2", sequential: true },
      where: { family: "V", kind: "stack" },
    },
    {
      name: "profiles",
      title: "L times the difference to the limit is one function of depth",
      caption:
        `The entry of V that varies most over depth in the limit, after ${steps} iterations: L (V_k − V(s)) at the middle of each layer's cell. ` +
        "That the curves of all depths coincide is the 1/L law, layer by layer.",
      table: "profiles",
      kind: "line",
      x: { field: "s", label: "depth s" },
      y: { field: "scaled", label: "L · (layer − limit)" },
      color: { field: "depth", label: "depth L", scale: "log2", sequential: true },
    },
    {
      name: "cost",
      title: "How near to the limit for what time",
      caption:
        `Time of one iteration and distance of V to the limit after ${stackSteps} iterations: stacks up to depth ${deepest}, and the limiting dynamics as a neural ODE, ` +
        "whose distance is that to its finer discretisation.",
      table: "cost",
      kind: "point",
      x: { field: "seconds", label: "seconds an iteration", scale: "log" },
      y: { field: "distance", label: "distance of V to the limit", scale: "log" },
      color: { field: "kind", label: "discretisation" },
      pointLabel: "name",
      where: { family: "V" },
    },
    {
      name: "loss-difference",
      title: "The loss of stacks approaches that of the limit like 1/L",
      caption:
        "Absolute difference of a stack's loss to the limit's, one curve a recorded iteration. Differences near 1e-7 of the loss are rounding of float32.",
      table: "loss",
      kind: "line",
      x: { field: "depth", label: "depth L", scale: "log2" },
      y: { field: "difference", label: "difference of losses", scale: "log" },
      color: { field: "step", label: "iterations", sequential: true },
      guides: inverse,
      where: { kind: "stack" },
    },
  ];
}

export function notes(config: LimitDynamicsConfig): string[] {
  const { parametrisation, steps, rate, limit, finer, stackDepth, stackSteps } = config;
  const described = ({ basis, method, steps }: typeof limit) =>
    `${basis.count} ${basis.kind} basis functions and ${steps} steps of ${method} over depth`;
  const list = [
    `The limit: weights are functions of depth s, trained by the gradient flow in L²([0,1]) (section A.5 of the paper, with the adjoint equation dP/ds = −(∂f/∂H)ᵀP; ` +
      `the sign and the transpose are missing in print), discretised by ${described(limit)}; the second discretisation has ${described(finer)}.`,
    `Training time is discretised alike everywhere: ${steps} Euler steps of ${rate}. What is compared is depth alone.`,
    "A stack's weights are compared as a function that is constant on cells of length 1/L, layer k on [(k−1)/L, k/L].",
    "No clipping, as in the published code; GELU is unbounded and d = q, so Theorem 4 does not formally cover this run.",
    "Arithmetic is float32; weights are stored as their change from the initial value, and distances are taken in float64 from those changes.",
    "One random draw of weights and data: intervals of slopes speak of scatter about a straight line, not of draws.",
    parametrisation === "code"
      ? "Parametrisation of the published code: no factors 1/√m and 1/√q, and the loss is a mean over samples and outputs."
      : "Parametrisation of the paper's text: factors 1/√m and 1/√q, loss summed over outputs.",
  ];
  if (stackSteps < steps)
    list.push(
      `The stack of depth ${stackDepth} is trained for ${stackSteps} iterations only, to be timed and compared there.`,
    );
  if (steps < PAPER.steps) list.push(`The preset paper has ${PAPER.steps} iterations; this run has ${steps}.`);
  return list;
}
