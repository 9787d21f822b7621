/** Tables, figures and notes of `activations-and-init`. */
import type { Column, Figure, Table } from "../record.ts";
import { CONFIDENCE } from "../seed_claim.ts";
import { meanInterval } from "../statistics.ts";
import { type SyntheticConfig, syntheticNotes } from "../synthetic.ts";
import { type ActivationsAndInitConfig, FAMILIES, PRESETS, type Row, startsOf } from "./config.ts";
import { POWERS, ROUGH_ABOVE, SMOOTH_RANGE } from "./smoothness.ts";

const COMMON: readonly Column[] = [
  { name: "activation", description: "σ" },
  {
    name: "start",
    description:
      "initial W: tied over depth, a Gaussian process of k/L (smooth, with its length), or independent layers; V = 0",
  },
];
const FAMILY: Column = { name: "family", description: "V or W" };

/** Geometric mean over seeds of the final max step, with the interval of the mean logarithm. */
function stepsByDepth(config: ActivationsAndInitConfig, states: readonly Row[]): Row[] {
  return config.activations.flatMap((activation) =>
    startsOf(config).flatMap(({ name: start }) =>
      FAMILIES.flatMap((family) =>
        config.depths.flatMap((depth): Row[] => {
          const mine = states.filter(
            (row) =>
              row.activation === activation &&
              row.start === start &&
              row.family === family &&
              row.depth === depth &&
              (row.max_step as number) > 0,
          );
          if (mine.length === 0) return [];
          const { mean, interval } = meanInterval(
            mine.map((row) => Math.log(row.max_step as number)),
            CONFIDENCE,
          );
          const [lower, upper] = interval.map((end) => (Number.isFinite(end) ? Math.exp(end) : null));
          const ratios = mine.flatMap(({ roughness }) => (typeof roughness === "number" ? [roughness] : []));
          const roughness = ratios.length > 0 ? meanInterval(ratios).mean : null;
          const max_step = Math.exp(mean);
          return [
            { activation, start, family, depth, seeds: mine.length, max_step, lower: lower!, upper: upper!, roughness },
          ];
        }),
      ),
    ),
  );
}

export function tablesOf(
  config: ActivationsAndInitConfig,
  states: readonly Row[],
  published: readonly Row[],
  verdicts: readonly Row[],
  compared: readonly Row[],
): Table[] {
  const measured: Column[] = [
    ...COMMON,
    { name: "depth", description: "number of layers L" },
    { name: "seed", description: "of weights and data" },
    { name: "loss", description: "training loss at the end" },
    FAMILY,
    { name: "max_step", unit: "‖·‖_F", description: "max_k ‖X_{k+1} − X_k‖" },
    { name: "roughness", description: "half of von Neumann's ratio over depth: 1 for independent layers" },
    ...POWERS.map((p) => ({ name: `variation_${p}`, description: `Σ_k ‖X_{k+1} − X_k‖^${p}` })),
  ];
  return [
    {
      name: "verdicts",
      description: `Exponents in L over seeds and the rule's verdict: smooth where the exponent of the largest step is within ${SMOOTH_RANGE.min} … ${SMOOTH_RANGE.max}, rough where it is above ${ROUGH_ABOVE}, as its interval over seeds decides.`,
      columns: [
        ...COMMON,
        FAMILY,
        { name: "depths", description: "depths that resolve the start: those of the exponents" },
        { name: "slope", description: "exponent of max_k ‖X_{k+1} − X_k‖, mean over seeds" },
        { name: "lower", description: "of its 95 % interval over seeds" },
        { name: "upper", description: "of its 95 % interval over seeds" },
        { name: "last_slope", description: "the same between the two deepest" },
        { name: "roughness_slope", description: "exponent of the roughness; −2 for a Lipschitz function" },
        ...POWERS.map((p) => ({
          name: `variation_slope_${p}`,
          description: `exponent of Σ_k ‖X_{k+1} − X_k‖^${p}; ${1 - p} for a Lipschitz function`,
        })),
        {
          name: "variation_index",
          description:
            "p at which the p-variation neither grows nor vanishes: 1 bounded variation, 2 Brownian; null: none below 20",
        },
        { name: "verdict", description: "smooth, rough or undecided" },
      ],
      rows: [...verdicts],
    },
    {
      name: "by-eye",
      description: "The rule's verdict on V and W together, and the paper's on trained convolutions (Table 1).",
      columns: [
        ...COMMON,
        { name: "by_eye", description: "the paper's judgement" },
        { name: "verdict", description: "the rule's: rough where V or W is" },
      ],
      rows: [...compared],
    },
    {
      name: "steps",
      description: "Largest step between neighbouring layers after training, geometric mean over seeds.",
      columns: [
        ...COMMON,
        FAMILY,
        { name: "depth", description: "number of layers L" },
        { name: "seeds", description: "trainings" },
        { name: "max_step", unit: "‖·‖_F", description: "max_k ‖X_{k+1} − X_k‖" },
        { name: "lower", description: "of the 95 % interval over seeds" },
        { name: "upper", description: "of the 95 % interval over seeds" },
        { name: "roughness", description: "mean over seeds of half of von Neumann's ratio" },
      ],
      rows: stepsByDepth(config, states),
    },
    { name: "training", description: "Every finished training.", columns: measured, rows: [...states] },
    ...(config.publishedDepths.length > 0
      ? [
          {
            name: "published",
            description: "Every finished training at the sizes of the published numbers.",
            columns: measured,
            rows: [...published],
          },
        ]
      : []),
  ];
}

export function figuresOf(): Figure[] {
  const depth = { field: "depth", label: "depth L", scale: "log2" } as const;
  const activation = { field: "activation", label: "activation" };
  const facets = { columnFacet: { field: "start", label: "start" }, rowFacet: { field: "family", label: "weights" } };
  return [
    {
      name: "steps",
      title: "Largest step between neighbouring layers after training",
      caption:
        "Geometric mean over seeds of max_k ‖X_{k+1} − X_k‖_F with its 95 % interval. Smooth weights fall along the guide of slope −1.",
      table: "steps",
      kind: "line",
      x: depth,
      y: { field: "max_step", label: "max step", scale: "log" },
      color: activation,
      interval: ["lower", "upper"],
      guides: [{ slope: -1, label: "slope −1" }],
      ...facets,
    },
    {
      name: "slopes",
      title: "Exponent in L of the largest step",
      caption:
        "−1: weights are a Lipschitz function of depth. 0: neighbouring layers stay apart, however many there are.",
      table: "verdicts",
      kind: "heatmap",
      x: { field: "start", label: "start", scale: "ordinal" },
      y: { field: "activation", label: "activation", scale: "ordinal" },
      color: { field: "slope", label: "exponent" },
      columnFacet: { field: "family", label: "weights" },
    },
    {
      name: "roughness",
      title: "Roughness of the trained weights",
      caption:
        "Half of von Neumann's ratio over depth, mean over seeds: 1 for independent layers, falling with slope −2 for a Lipschitz function.",
      table: "steps",
      kind: "line",
      x: depth,
      y: { field: "roughness", label: "roughness", scale: "log" },
      color: activation,
      guides: [{ slope: -2, label: "slope −2" }],
      ...facets,
    },
  ];
}

export function notesOf(config: ActivationsAndInitConfig): string[] {
  const { depths, steps, rate, seeds, samples, hidden, activations } = config;
  const setup: SyntheticConfig = { ...config, activation: activations[0]! };
  const { paper } = PRESETS;
  const reduced = depths.at(-1)! < paper.depths.at(-1)! || samples < paper.samples;
  return [
    ...syntheticNotes(setup),
    `W starts with entries of variance 1 (tied, a Gaussian process of s = k/L with kernel exp(−(s − s')²/2l²), or independent), V = 0; ${steps} Euler steps of ${rate}, t = ${Number((steps * rate).toPrecision(6))}; ${seeds.length} seeds of weights and data.`,
    `The rule: smooth where the exponent in L of max_k ‖X_{k+1} − X_k‖ is within ${SMOOTH_RANGE.min} … ${SMOOTH_RANGE.max}, rough where it is above ${ROUGH_ABOVE}, each as a claim with the 95 % interval over seeds is judged; undecided otherwise. It stands for the paper's look at weights against depth.`,
    "Exponents from smooth starts are of the depths that resolve them: L · length ≥ the spread of the pre-activations (√q without width factors), over which σ(W_k h) forgets W_k. Steps at smaller depths are those of independent layers.",
    "The paper judges trained convolutions on CIFAR-10 after 180 epochs; here the networks are dense, the data synthetic and the training time short. Smooth and kinked activations differ in W alone at these times, and the more the deeper.",
    ...(activations.some((each) => each !== "tanh" && each !== "sin" && each !== "erf")
      ? [
          "The proofs ask for a bounded C² activation with σ(0) = 0: tanh, erf and sin are; softplus has σ(0) = ln 2; GELU, SiLU, softplus and the identity are not bounded; ReLU and leaky ReLU are not C¹.",
        ]
      : []),
    ...(config.publishedDepths.length > 0
      ? [
          "The published numbers are one draw of weights and data of their own; they are held against the spread of the seeds here.",
        ]
      : []),
    "No float64 comparison (`--check`) here: tied starts of the same network have it in large-depth.",
    ...(reduced
      ? [
          `Reduced: n = ${samples}, m = ${hidden}, depths ${depths.join(", ")} with steps of ${rate}; the preset paper has n = ${paper.samples}, m = ${paper.hidden}, depths to ${paper.depths.at(-1)} and steps of ${paper.rate}.`,
        ]
      : []),
  ];
}
