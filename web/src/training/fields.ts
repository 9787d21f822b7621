/** The inputs of a configuration: what they are called, what they take. */
import { ACTIVATIONS, INITIALISATIONS } from "../../../src/config/dense.ts";
import { OPTIMISERS } from "../../../src/config/flow.ts";
import { DATASETS } from "../../../src/experiment/single_training/config.ts";
import type { SlotText } from "./settings.ts";

interface Common {
  readonly key: string;
  readonly label: string;
  readonly help: string;
  /** Absent: always shown. */
  readonly shown?: (text: SlotText) => boolean;
}
export type Field =
  | (Common & { readonly kind: "choice"; readonly options: readonly (readonly [value: string, label: string])[] })
  | (Common & { readonly kind: "number"; readonly step?: string })
  /** A number with a slider beside it that doubles. */
  | (Common & { readonly kind: "depth" });

const same = (values: readonly string[]) => values.map((value) => [value, value] as const);

export const FIELD_GROUPS: readonly { readonly title: string; readonly fields: readonly Field[] }[] = [
  {
    title: "Network",
    fields: [
      { key: "depth", label: "Depth L", kind: "depth", help: "Number of residual layers." },
      { key: "width", label: "Width q", kind: "number", help: "Dimension of the states." },
      { key: "hidden", label: "Hidden units m", kind: "number", help: "Of a residual layer." },
      {
        key: "activation",
        label: "Activation σ",
        kind: "choice",
        options: same(ACTIVATIONS),
        help: "Kinked ones leave weights ragged.",
      },
      {
        key: "beta",
        label: "Scaling β",
        kind: "number",
        step: "0.05",
        help: "Residual factor L^-β; 1 has a limit in depth.",
      },
      {
        key: "widthFactors",
        label: "Width factors",
        kind: "choice",
        options: [
          ["code", "none (code)"],
          ["paper", "1/√m, 1/√q (paper)"],
        ],
        help: "Factors of V and W: those of the paper's code, or of its text.",
      },
    ],
  },
  {
    title: "Start",
    fields: [
      {
        key: "initialisation",
        label: "Over depth",
        kind: "choice",
        options: INITIALISATIONS.map((name) => [
          name,
          {
            tied: "tied: one draw",
            iid: "iid: independent",
            smooth: "smooth: a process",
          }[name],
        ]),
        help: "How the layers' first weights depend on each other.",
      },
      {
        key: "kernelLength",
        label: "Kernel length",
        kind: "number",
        step: "0.05",
        help: "Of the smooth process, in s = k/L.",
        shown: ({ initialisation }) => initialisation === "smooth",
      },
      {
        key: "hiddenScale",
        label: "Scale of W",
        kind: "number",
        step: "0.05",
        help: "Standard deviation of its entries.",
      },
      {
        key: "outputScale",
        label: "Scale of V",
        kind: "number",
        step: "0.05",
        help: "Standard deviation; 0: V starts at 0.",
      },
      { key: "seed", label: "Seed", kind: "number", help: "Of weights and data." },
    ],
  },
  {
    title: "Training",
    fields: [
      {
        key: "dataset",
        label: "Data",
        kind: "choice",
        options: DATASETS.map((name) => [name, { gaussian: "Gaussian pairs", digits: "handwritten digits" }[name]]),
        help: "Gaussian: inputs and targets N(0, I).",
      },
      { key: "rows", label: "Rows n", kind: "number", help: "Trained on, all in every step." },
      {
        key: "optimiser",
        label: "Optimiser",
        kind: "choice",
        options: same(OPTIMISERS),
        help: "descent follows the gradient flow.",
      },
      { key: "rate", label: "Rate η", kind: "number", step: "any", help: "Time step of the flow." },
      { key: "steps", label: "Stop after", kind: "number", help: "Steps." },
      {
        key: "referenceDepth",
        label: "Deep reference",
        kind: "number",
        help: "Depth of a network to measure the distance to; 0: none.",
      },
    ],
  },
];
