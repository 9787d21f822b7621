/** `--check`: the first steps of a training against float64, from the same weights and data, in plain loops. */
import { gradientFlowStep, stepNorms } from "../reference/dense.ts";
import type { ExperimentContext } from "./experiment.ts";
import type { Cell, Claim } from "./record.ts";
import { extremeClaim } from "./seed_claim.ts";
import { type TrainingSpec, weightsOf } from "./training.ts";

/** Steps that are compared: at the first, tied layers are still equal. */
export const CHECK_STEPS = [2, 10] as const;

/**
 * Claims that max_k‖V_{k+1} − V_k‖_F and the same for W agree after {@link CHECK_STEPS} Euler steps; undefined when it was stopped.
 * @param stateAt row of a recorded step with `max_step_V` and `max_step_W`
 * @param where which training, in words
 */
export async function compareWithFloat64(
  { signal, progress }: Pick<ExperimentContext<unknown>, "signal" | "progress">,
  spec: TrainingSpec,
  stateAt: (step: number) => Readonly<Record<string, Cell>> | undefined,
  where: string,
): Promise<Claim[] | undefined> {
  const { shape, data, loss, flow } = spec;
  const initial = weightsOf(spec);
  const whole = (layers: Float32Array) => {
    const elements = shape.depth * shape.width * shape.hidden;
    return Float64Array.from({ length: elements }, (_, i) => layers[i % layers.length]!);
  };
  const weights = {
    A: Float64Array.from(initial.A),
    B: Float64Array.from(initial.B),
    V: whole(initial.V),
    W: whole(initial.W),
  };
  const samples = { n: data.rows, inputs: data.inputs, targets: data.targets };
  const { A, Z, B } = flow.trained ?? { A: true, Z: true, B: true };
  const total = CHECK_STEPS.at(-1)!;
  const claims: Claim[] = [];
  for (let step = 1; step <= total; step++) {
    // A step blocks: let the host draw and hear a cancellation in between.
    await new Promise((resolve) => setTimeout(resolve));
    if (signal.aborted) return undefined;
    progress({ done: step, total, label: `float64 L=${shape.depth}, step ${step} of ${total}` });
    gradientFlowStep(shape, weights, samples, loss, flow.rate, { A, V: Z, W: Z, B });
    if (!(CHECK_STEPS as readonly number[]).includes(step)) continue;
    const row = stateAt(step);
    const norms = stepNorms(weights.V, weights.W, shape);
    for (const family of ["V", "W"] as const) {
      const value = row?.[`max_step_${family}`];
      const exact = norms[family].max;
      claims.push(
        extremeClaim(
          {
            id: `float64-${family.toLowerCase()}-${step}`,
            statement: `max_k‖${family}_{k+1} − ${family}_k‖_F after ${step} steps agrees with the float64 reference (${where}): relative error`,
            source: "float64 reference of this project",
            passes: { max: step === CHECK_STEPS[0] ? 1e-3 : 1e-4 },
            note: `${Number(value).toPrecision(6)} on the device, ${exact.toPrecision(6)} in float64`,
          },
          typeof value === "number" ? Math.abs(value / exact - 1) : null,
        ),
      );
    }
  }
  return claims;
}
