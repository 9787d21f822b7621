import type { Figure, Table } from "../record.ts";
import { LAST_ORDER, type PlConditionRows } from "./collect.ts";
import { type PlConditionConfig, PRESETS, type Row } from "./config.ts";
import { hermiteCoefficients, strongestCoefficient } from "./hermite.ts";

export function tables({ features, scans, ball, shifts, training }: PlConditionRows): Table[] {
  const scan = { name: "scan", description: "the size that varies" };
  const seed = { name: "seed", description: "one draw of W, X and Y" };
  const sizes = [
    { name: "samples", description: "n" },
    { name: "width", description: "q" },
    { name: "hidden", description: "m" },
  ];
  const units = { name: "units_per_sample", description: "m/n" };
  const norm = { name: "norm", unit: "‖·‖_F", description: "M" };
  const radius = { name: "radius", description: "M √(nq)" };
  return [
    {
      name: "features",
      description: "Singular values of σ(W X/√q) at the start, n of them, in float64.",
      columns: [
        scan,
        ...sizes,
        seed,
        { name: "smallest", description: "s_min" },
        { name: "largest", description: "s_max" },
        {
          name: "weakest_eigenvalue",
          description: "smallest eigenvalue of (4/(nm)) ΣΣᵀ: the layers' ratio for the weakest targets",
        },
        { name: "strongest_eigenvalue", description: "largest eigenvalue of it" },
        units,
        { name: "floor", description: "√m |η_r|/4 (Lemma 21)" },
        { name: "quotient", description: "smallest / floor" },
      ],
      rows: features,
    },
    {
      name: "scans",
      description: "The layers' Polyak–Łojasiewicz ratio L Σ_k‖∂ℓ/∂Z_k‖²/ℓ at the start, on the device.",
      columns: [
        scan,
        { name: "targets", description: "random: N(0, I); weakest: along the weakest direction of the start" },
        ...sizes,
        units,
        { name: "depth", unit: "layers", description: "L" },
        seed,
        { name: "pl_ratio", description: "the ratio" },
      ],
      rows: scans,
    },
    {
      name: "ball",
      description:
        "The ratio of all groups at random points at distance M of the start, for the residual that makes it smallest there.",
      columns: [
        seed,
        { name: "kind", description: "common: all layers moved alike; independent: every layer on its own" },
        radius,
        norm,
        { name: "point", description: "which of the random points" },
        { name: "pl_ratio", description: "the ratio at the point, on the device" },
        { name: "relative", description: "pl_ratio / pl_ratio at the start (radius 0)" },
        { name: "weakest_eigenvalue", description: "smallest eigenvalue of (4/n) J Jᵀ at the point (float64)" },
        { name: "strongest_eigenvalue", description: "largest eigenvalue of it" },
      ],
      rows: ball,
    },
    {
      name: "shifts",
      description:
        "Smallest singular value of the features before and after W moves by a random vector of norm M, in float64.",
      columns: [
        seed,
        radius,
        norm,
        { name: "before", description: "s_min of the start" },
        { name: "after", description: "s_min at the point" },
        { name: "samples", description: "n" },
      ],
      rows: shifts,
    },
    {
      name: "training",
      description: "The ratio of all groups along training.",
      columns: [
        seed,
        { name: "step", description: "iterations (Euler steps) taken" },
        { name: "time", description: "training time t: iterations · η" },
        { name: "loss", description: "(1/n) Σ ‖F(x_i) − y_i‖²" },
        { name: "pl_ratio", description: "Polyak–Łojasiewicz ratio" },
        { name: "max_step_V", unit: "‖·‖_F", description: "max_k ‖V_{k+1} − V_k‖" },
        { name: "max_step_W", unit: "‖·‖_F", description: "max_k ‖W_{k+1} − W_k‖" },
        { name: "weakest_eigenvalue", description: "smallest ratio at the start for any targets (float64)" },
      ],
      rows: training,
    },
  ];
}

export function figures(config: PlConditionConfig, { features, scans, ball, training }: PlConditionRows): Figure[] {
  const seed = { field: "seed", label: "seed", scale: "ordinal" as const };
  const any = (rows: readonly Row[], where: Row) =>
    rows.some((row) => Object.entries(where).every(([key, value]) => row[key] === value));
  const byTargets = (
    scan: "samples" | "width",
    title: string,
    label: string,
    guide: { slope: number; label: string },
  ): Figure[] =>
    any(scans, { scan, targets: "weakest" })
      ? [
          {
            name: `ratio-by-${scan}`,
            title,
            caption: `The layers' ratio at the start for targets along its weakest direction, one line a seed. Proposition 5 allows a fall like the guide, not a steeper one.`,
            table: "scans",
            kind: "line",
            x: { field: scan, label, scale: "log2" },
            y: { field: "pl_ratio", label: "L Σ‖∂ℓ/∂Zₖ‖² / ℓ", scale: "log" },
            color: seed,
            guides: [guide],
            where: { scan, targets: "weakest" },
          },
        ]
      : [];
  const list: Figure[] = [
    ...byTargets(
      "samples",
      `The ratio against the number of samples (m = ${config.scan.hiddenPerSample}n)`,
      "samples n",
      {
        slope: -1.5,
        label: "slope −3/2",
      },
    ),
    ...byTargets("width", "The ratio against the width", "width q", { slope: -1, label: "slope −1" }),
  ];
  if (any(features, { scan: "hidden" }))
    list.push({
      name: "singular-values",
      title: "The features have full rank from m = n on",
      caption:
        "s_min of σ(WX/√q) in units of Lemma 21's floor √m |η_r|/4, float64, one line a seed. Below m = n there are fewer units than samples and it is zero up to rounding; where a line is above 1 the lemma's floor holds.",
      table: "features",
      kind: "line",
      x: { field: "units_per_sample", label: "units for a sample, m/n", scale: "log2" },
      y: { field: "quotient", label: "smallest singular value / floor" },
      color: seed,
      where: { scan: "hidden" },
    });
  if (ball.length > 0)
    list.push({
      name: "ball",
      title: "The smallest ratio in a ball around the start",
      caption:
        "Smallest ratio of any residual, in units of that at the start, against the radius M in units of 1/√(nq). Proposition 5 names at most 1/2. Left, all layers are moved alike; right, each on its own.",
      table: "ball",
      kind: "point",
      x: { field: "radius", label: "M √(nq)", scale: "symlog" },
      y: { field: "relative", label: "relative to the start", scale: "log" },
      color: seed,
      columnFacet: { field: "kind", label: "layers moved" },
    });
  if (training.length > 0)
    list.push({
      name: "training",
      title: "The ratio along training",
      caption:
        "All groups trained, one line a seed: fast directions settle first and leave the slow ones. Where the loss has reached the rounding of float32, at the end, the ratio is that of rounding.",
      table: "training",
      kind: "line",
      x: { field: "time", label: "training time t" },
      y: { field: "pl_ratio", label: "−(dℓ/dt) / ℓ", scale: "log" },
      color: seed,
    });
  return list;
}

export function notes(config: PlConditionConfig): string[] {
  const { activation, samples, width, hidden, depth, training, seeds } = config;
  const { r, eta } = strongestCoefficient(activation, LAST_ORDER);
  const coefficients = hermiteCoefficients(activation, 5)
    .map((value, order) => `η_${order} = ${(Math.abs(value) < 1e-9 ? 0 : value).toPrecision(5)}`)
    .join(", ");
  const paper = PRESETS.paper;
  const list = [
    `Setting of Proposition 5: paper parametrisation, squared norm, σ = ${activation}, d = d' = q/2, x_i uniform on the sphere ‖x‖ = √q, V = 0, W tied, A = (I, 0), B = (0, I). Unless scanned, n = ${samples}, q = ${width}, m = ${hidden}, L = ${depth}.`,
    `Hermite coefficients by Gauss's rule in float64: ${coefficients}; Lemma 21 is read with r = ${r}, |η_r| = ${eta.toPrecision(5)}.`,
    "The proposition's constants (for tanh c₁ = 1.3e7, c₄ = 4e-11) are vacuous at any size that can be computed: exponents and the existence of a floor are tested, not the constants.",
    "Scans hold A and B fixed: the proof bounds the ratio by the part of the layers. With A and B trained, Definition 1's ratio at the start is larger by (4/n)·2·XXᵀ along the targets, for normal targets many times the layers' part.",
    `Ball: n = ${config.ball.samples}, q = ${config.ball.width}, m = ${config.ball.hidden}, L = ${config.ball.depth}, small enough for the whole Jacobian in float64; A, B and every Z_k = (V_k, W_k) moved by M.`,
    "Random points of a ball say nothing of its worst point.",
    `Training: n = ${training.samples}, m = ${training.hidden}, L = ${training.depth}, ${training.steps} Euler steps of ${training.rate}, A, Z and B trained, y_i ~ N(0, I).`,
  ];
  if (seeds.length < paper.seeds.length)
    list.push(
      `Reduced: the preset paper has ${paper.seeds.length} seeds, n up to ${paper.scan.samples.at(-1)}, q up to ${paper.scan.width.at(-1)}, L up to ${paper.scan.depth.at(-1)}. The paper itself has no such experiment.`,
    );
  return list;
}
