import type { Figure, Table } from "../record.ts";
import type { DoubleLimitRows } from "./collect.ts";
import { type DoubleLimitConfig, PRESETS, VARIANTS } from "./config.ts";

const TITLES = { all: "all trained", layers: "only Z trained" } as const;

export function tables({ states, outputs, weights, orders }: DoubleLimitRows): Table[] {
  const variant = { name: "variant", description: "all: A, Z and B trained; layers: only Z" };
  const seed = { name: "seed", description: "one draw of W, X and Y" };
  const depth = { name: "depth", unit: "layers", description: "L" };
  const step = { name: "step", description: "iterations (Euler steps) taken" };
  const time = { name: "time", description: "training time t: iterations · η" };
  return [
    {
      name: "states",
      description: "One row for each training and recorded iteration.",
      columns: [
        variant,
        seed,
        depth,
        step,
        time,
        { name: "loss", description: "(1/n) Σ ‖F(x_i) − y_i‖²" },
        { name: "pl_ratio", description: "Polyak–Łojasiewicz ratio over the trained groups" },
        { name: "max_step_V", unit: "‖·‖_F", description: "max_k ‖V_{k+1} − V_k‖" },
        { name: "max_step_W", unit: "‖·‖_F", description: "max_k ‖W_{k+1} − W_k‖" },
      ],
      rows: states,
    },
    {
      name: "outputs",
      description: "Distance of F on fresh points, root mean square over the points, at equal times.",
      columns: [
        variant,
        seed,
        depth,
        step,
        time,
        { name: "to_next", description: "to the network of twice the depth" },
        { name: "to_reference", description: "to the reference" },
      ],
      rows: outputs,
    },
    {
      name: "weights",
      description:
        "Distance of the trained weights to those of twice the depth, as functions of s (eq. 8 of the paper), root mean square over s.",
      columns: [
        variant,
        seed,
        depth,
        { name: "V", description: "distance of V (Frobenius norm)" },
        { name: "W", description: "distance of W (Frobenius norm)" },
      ],
      rows: weights,
    },
    {
      name: "orders",
      description: "The two orders of the limits, at the last step, on the fresh points.",
      columns: [
        variant,
        seed,
        { name: "between", description: "distance of the extrapolation in L to the reference" },
        { name: "deepest", description: "distance of the deepest network below the reference to the reference" },
        { name: "quotient", description: "between / deepest" },
        { name: "size", description: "root mean square of ‖F‖ of the reference" },
      ],
      rows: orders,
    },
  ];
}

export function figures(config: DoubleLimitConfig, { states, outputs, weights }: DoubleLimitRows): Figure[] {
  const seed = config.seeds[0]!;
  const depth = { field: "depth", label: "depth L", scale: "log2" as const };
  const inverse = [{ slope: -1, label: "slope −1" }];
  return VARIANTS.filter((variant) => states.some((row) => row.variant === variant)).flatMap((variant): Figure[] => {
    const title = TITLES[variant];
    const { steps } = config[variant];
    const list: Figure[] = [
      {
        name: `loss-${variant}`,
        title: `The loss falls alike at every depth (${title})`,
        caption: `Seed ${seed}. The curves of all depths lie on each other; the floor at the end is float32.`,
        table: "states",
        kind: "line",
        x: { field: "time", label: "training time t" },
        y: { field: "loss", label: "loss", scale: "log" },
        color: { ...depth, sequential: true },
        where: { variant, seed },
      },
    ];
    const has = (rows: readonly Record<string, unknown>[], field: string, at?: number) =>
      rows.some((row) => row.variant === variant && row[field] !== null && (at === undefined || row.step === at));
    if (has(outputs, "to_reference", steps))
      list.push(
        {
          name: `output-distance-${variant}`,
          title: `Trained functions converge in depth (${title})`,
          caption: `Distance of F on fresh points to the reference of depth ${config.referenceDepth}, both trained to zero loss.`,
          table: "outputs",
          kind: "line",
          x: depth,
          y: { field: "to_reference", label: "distance of F to the reference", scale: "log" },
          color: { field: "seed", label: "seed", scale: "ordinal" },
          guides: inverse,
          where: { variant, step: steps },
        },
        {
          name: `output-distance-time-${variant}`,
          title: `The distance in depth stays bounded in time (${title})`,
          caption: `Distance of F(t) on fresh points to the reference at the same t, seed ${seed}: levels that stand apart by factors of two, and none grows.`,
          table: "outputs",
          kind: "line",
          x: { field: "time", label: "training time t" },
          y: { field: "to_reference", label: "distance of F(t) to the reference" },
          color: { ...depth, sequential: true },
          where: { variant, seed },
        },
      );
    if (has(weights, "V"))
      list.push({
        name: `weight-distance-${variant}`,
        title: `Trained weights converge as functions of depth (${title})`,
        caption: "Root mean square over s of ‖V^L(s) − V^{2L}(s)‖_F after training.",
        table: "weights",
        kind: "line",
        x: depth,
        y: { field: "V", label: "distance of V from L to 2L", scale: "log" },
        color: { field: "seed", label: "seed", scale: "ordinal" },
        guides: inverse,
        where: { variant },
      });
    return list;
  });
}

export function notes(config: DoubleLimitConfig): string[] {
  const { samples, width, hidden, depths, referenceDepth, seeds, activation, all, layers } = config;
  const paper = PRESETS.paper;
  const list = [
    `Setting of Theorem 6: paper parametrisation, squared norm, σ = ${activation} (bounded, C², σ(0) = 0), d = d' = ${width / 2}, q = d + d' = ${width}, m = ${hidden} >= n = ${samples}, x_i uniform on the sphere ` +
      "‖x‖ = √q, y_i ~ N(0, I), V = 0, W tied, A = (I, 0), B = (0, I), no clipping. The theorem also asks for targets below a constant C and for m >= c₁ n, L >= c₂ √(nq); its constants " +
      "are vacuous at any size that can be computed (c₁ = 1.3e7 for tanh), so the run tests what is stated, not the constants.",
    "Variant all is the theorem's flow. There A and B, whose share of the Polyak–Łojasiewicz ratio is many times that of the layers, do nearly all of the fitting, and V stays near zero. Variant " +
      "layers holds A and B fixed, so that the layers must fit the data alone; the theorem's proof bounds the ratio from below by their share.",
    `n < d: with more samples than inputs the loss still goes to zero, but at the rate of the cubic part of σ, a thousand times slower.`,
    `t → ∞ is the last step, ${all.steps} Euler steps of ${all.rate} (all) and ${layers.steps} of ${layers.rate} (layers). L → ∞ is the extrapolation from L = ${depths.at(-2)} and ${depths.at(-1)}, or the reference of L = ${referenceDepth}.`,
    "F on the fresh points is computed in float64 from the device's float32 weights (stored as their change).",
  ];
  if (depths.at(-1)! < paper.depths.at(-1)! || seeds.length < paper.seeds.length)
    list.push(
      `Reduced: the preset paper has depths up to ${paper.depths.at(-1)}, a reference of ${paper.referenceDepth} and ${paper.seeds.length} seeds. The paper itself has no such experiment.`,
    );
  return list;
}
