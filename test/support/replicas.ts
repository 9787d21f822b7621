import { type FlowInput, flowSchema } from "../../src/config/flow.ts";
import { GradientFlow, type GradientFlowOptions } from "../../src/flow/gradient_flow.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { DensePass } from "../../src/model/dense_pass.ts";
import { DenseStack, type DenseStackOptions } from "../../src/model/dense_stack.ts";
import type { DensePlanOptions } from "../../src/plan/dense.ts";
import type { DenseProblem } from "./dense_problem.ts";

type Options = DenseStackOptions & GradientFlowOptions & { readonly plan?: Partial<Omit<DensePlanOptions, "rows">> };

/** Problems of one shape as replicas: stack, pass and flow on the device, and one call that frees them. */
export async function replicaFlow(
  gpu: Gpu,
  problems: readonly DenseProblem[],
  input: FlowInput,
  { plan, rates, ...stackOptions }: Options = {},
) {
  const { shape, loss } = problems[0];
  const initial = problems.map((problem) => problem.initial);
  const data = problems.map((problem) => problem.data);
  const stack = DenseStack.create(gpu, shape, initial, stackOptions);
  const pass = await DensePass.create(stack, data, loss, { training: true, ...plan });
  const flow = await GradientFlow.create(stack, pass, flowSchema.parse(input), { ...(rates && { rates }) });
  const destroy = () => {
    flow.destroy();
    pass.destroy();
    stack.destroy();
  };
  return { stack, pass, flow, destroy };
}
