import type { Figure, Table } from "../record.ts";
import { CONFIDENCE, type Slope } from "./claims.ts";
import { type Family, type LargeDepthConfig, PAPER } from "./config.ts";
import type { Lockstep } from "./training.ts";

export function tables({ steps, distances }: Lockstep, slopes: readonly Slope[]): Table[] {
  const depth = { name: "depth", unit: "layers", description: "L" };
  const step = { name: "step", description: "iterations (Euler steps) taken, t" };
  const time = { name: "time", description: "training time of the flow: iterations · η" };
  const norm = (name: string, description: string) => ({ name, description: `${description} (Frobenius norm)` });
  return [
    {
      name: "steps",
      description:
        "Loss and differences of neighbouring layers, one row per depth and recorded iteration. The reference has no maxima or sums over iterations.",
      columns: [
        depth,
        { name: "reference", description: "whether this depth stands for the limit" },
        step,
        time,
        { name: "loss", description: "loss at this iteration" },
        { name: "energyRate", description: "−dℓ/dt of the flow: L Σ_k ‖∂ℓ/∂Z_k‖²" },
        { name: "plRatio", description: "Polyak–Łojasiewicz ratio: energyRate / loss" },
        norm("maxStepV", "max_k ‖V_{k+1} − V_k‖ at this iteration"),
        norm("maxStepW", "max_k ‖W_{k+1} − W_k‖ at this iteration"),
        norm("meanStepV", "mean_k ‖V_{k+1} − V_k‖ at this iteration"),
        norm("meanStepW", "mean_k ‖W_{k+1} − W_k‖ at this iteration"),
        norm("captionV", "largest maxStepV of all iterations so far"),
        norm("captionW", "largest maxStepW of all iterations so far"),
        norm("caption", "larger of captionV and captionW: what the caption of the paper's figure 1 (left) names"),
        norm(
          "published",
          "(Σ over all iterations so far Σ_k ‖Z_{k+1} − Z_k‖²)^{1/2}, larger of V and W: what figure 1 (left) shows as published",
        ),
      ],
      rows: steps,
    },
    {
      name: "distances",
      description: "Distance of V and W, as functions of depth, to those of the reference.",
      columns: [
        depth,
        step,
        time,
        { name: "family", description: "V or W" },
        {
          name: "indexing",
          description:
            "interpolation: layer ⌊(L−1)s⌋ + 1 at s (the paper's eq. 8); code: layer k with layer ⌊k L'/L⌋ of the reference",
        },
        norm("l2", "root mean square over depth"),
        norm("sup", "supremum over depth"),
      ],
      rows: distances,
    },
    {
      name: "slopes",
      description: "Slope of log quantity against log L by least squares.",
      columns: [
        step,
        {
          name: "quantity",
          description:
            "max-step-*, caption-*, published: columns of `steps`; distance-<family>-<indexing>-<norm>: columns of `distances`",
        },
        { name: "slope", description: "exponent p of quantity ≈ C·L^p" },
        {
          name: "lower",
          description: `lower end of the ${100 * CONFIDENCE}% interval (scatter about a line, not over random draws)`,
        },
        { name: "upper", description: "upper end" },
        { name: "points", unit: "depths", description: "depths in the fit" },
        { name: "fromDepth", unit: "layers", description: "smallest depth in the fit" },
      ],
      rows: slopes.map(({ quantity, step: at, fromDepth, fit }) => ({
        step: at,
        quantity,
        slope: fit.slope,
        lower: fit.interval[0],
        upper: fit.interval[1],
        points: fit.points,
        fromDepth,
      })),
    },
  ];
}

export function figures(lastStep: number): Figure[] {
  const depth = { field: "depth", label: "depth L", scale: "log2" as const };
  const iteration = { field: "step", label: "iteration" };
  const byIteration = { ...iteration, label: "iterations", sequential: true };
  const inverse = [{ slope: -1, label: "slope −1" }];
  const early = "After 0 and 1 iterations all layers are equal, which a logarithmic axis cannot show.";
  const statistic = (
    name: string,
    title: string,
    field: string,
    label: string,
    caption: string,
    slope = inverse,
  ): Figure => ({
    name,
    title,
    caption: `${caption} ${early}`,
    table: "steps",
    kind: "line",
    x: depth,
    y: { field, label, scale: "log" },
    color: byIteration,
    guides: slope,
    where: { reference: false },
  });
  const heat = (family: Family): Figure => ({
    name: `distance-map-${family.toLowerCase()}`,
    title: `Distance of ${family} to the reference, by iteration and depth`,
    caption:
      `Figure 1 (right) of the paper for ${family}: root mean square over depth of ‖${family}^L − ${family}^ref‖_F with the published code's indexing. ` +
      `After 0 and 1 iterations all depths have the same weights: those cells are grey.`,
    table: "distances",
    kind: "heatmap",
    x: { ...iteration, scale: "ordinal" },
    y: { ...depth, scale: "ordinal" },
    color: { field: "l2", label: `distance of ${family}`, scale: "log" },
    where: { family, indexing: "code" },
  });
  return [
    statistic(
      "caption-statistic",
      "Largest difference of neighbouring layers falls like 1/L",
      "caption",
      "max ‖Zₖ₊₁ − Zₖ‖",
      "What the caption of the paper's figure 1 (left) names, and what Proposition 3 bounds by K/L: the maximum over layers and over the iterations so far, of V and W together.",
    ),
    statistic(
      "caption-statistic-w",
      "Largest difference of neighbouring W falls like 1/L",
      "captionW",
      "max ‖Wₖ₊₁ − Wₖ‖",
      "The same for W alone, which starts at random weights and moves less: its differences are far below the float32 rounding of W itself.",
    ),
    statistic(
      "published-statistic",
      "The statistic of the published figure falls like 1/√L",
      "published",
      "(Σ ‖Zₖ₊₁ − Zₖ‖²)^½",
      "What figure 1 (left) of the paper shows as published: the differences summed in squares over all layers and all iterations so far, the larger of V and W. L terms of order 1/L² leave a slope of −1/2.",
      [{ slope: -0.5, label: "slope −1/2" }],
    ),
    heat("V"),
    heat("W"),
    {
      name: "distance-by-depth",
      title: `Distance to the reference after ${lastStep} iterations falls like 1/L`,
      caption:
        "Root mean square over depth, both ways of matching layers: the paper's interpolation (eq. 8) and the index of its code. The theorem states convergence without a rate.",
      table: "distances",
      kind: "line",
      x: depth,
      y: { field: "l2", label: "distance", scale: "log" },
      color: { field: "family", label: "weights" },
      dash: { field: "indexing", label: "indexing" },
      guides: inverse,
      where: { step: lastStep },
    },
    {
      name: "loss",
      title: "The loss approaches that of the reference as depth grows",
      caption: "All depths start from the same loss; the deepest curve is the reference.",
      table: "steps",
      kind: "line",
      x: iteration,
      y: { field: "loss", label: "loss" },
      color: { field: "depth", label: "depth L", scale: "log2", sequential: true },
    },
  ];
}

export function notes(config: LargeDepthConfig): string[] {
  const { parametrisation, steps, referenceDepth, rate } = config;
  const list = [
    "The left panel of figure 1 as published shows a statistic summed in squares over all layers and all iterations, (Σ_t Σ_k ‖Z_{k+1} − Z_k‖_F²)^{1/2}, " +
      "as the public code computes it; its caption names max_{k,t} ‖Z_{k+1} − Z_k‖_F. The first falls like L^{-1/2} (the published top curve goes from about 18.8 at L = 2 to " +
      "0.83 at the largest depth), the second like 1/L, as Proposition 3 says. Both are given here, over every iteration and not only the recorded ones.",
    "The published code lists depths 2, 16, 64, 256, 1014 for the left panel (1014, not 1024); here both panels use the same powers of two.",
    parametrisation === "code"
      ? "Parametrisation of the published code: no factors 1/√m and 1/√q, and the loss is a mean over samples and outputs. The paper's text has both factors and sums over outputs " +
        "(`parametrisation=paper`); the two differ in the initial scale and in the clock of training."
      : "Parametrisation of the paper's text: factors 1/√m and 1/√q, loss summed over outputs. The published figure comes from code without the factors and with a mean over outputs (`parametrisation=code`).",
    "No clipping, as in the published code; GELU is unbounded and d = q, so Proposition 3 and Theorem 4 do not formally cover this run.",
    "Arithmetic is float32, and V and W are stored as their change from the initial value: differences between layers are many orders below the rounding of W itself.",
    `The limit is stood in for by a network of depth ${referenceDepth} trained in the same way. Time is continuous in the theory; here ${steps} Euler steps of ${rate}.`,
    "One random draw of weights and data: intervals of slopes speak of scatter about a straight line, not of draws.",
  ];
  if (parametrisation === "code" && steps < PAPER.steps)
    list.push(`The published figure has ${PAPER.steps} iterations (preset paper); this run has ${steps}.`);
  return list;
}
