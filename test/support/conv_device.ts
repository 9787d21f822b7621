import { CONV_PARAMETERS, type ConvShape } from "../../src/config/conv.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { ConvPass, type SgdStep } from "../../src/model/conv_pass.ts";
import { ConvStack } from "../../src/model/conv_stack.ts";
import { type ConvData, type ConvWeights, emptyConvWeights } from "../../src/reference/conv.ts";

export type ConvOptions = Partial<Parameters<typeof ConvPass.create>[1]>;

/** A network on the device with one batch in its pass; weights are rounded to float32. */
export async function convOnDevice(
  gpu: Gpu,
  shape: ConvShape,
  weights: ConvWeights,
  data: ConvData,
  options: ConvOptions = {},
) {
  const start = Float32Array.from(CONV_PARAMETERS.flatMap((name) => [...weights[name]]));
  const stack = ConvStack.create(gpu, shape, start);
  const pass = await ConvPass.create(stack, { images: data.n, training: true, ...options });
  const recorder = new Recorder(gpu);
  const losses = gpu.tensor("losses", 16);
  pass.setBatch(Float32Array.from(data.images), Uint32Array.from(data.labels));

  /** Forward, loss and backward, and with `sgd` a step. */
  async function step(sgd?: SgdStep) {
    pass.forward(recorder, "training");
    pass.encodeLoss(recorder, losses, 0);
    pass.backward(recorder);
    if (sgd) pass.update(recorder, sgd);
    recorder.submit();
    const [loss, correct] = await gpu.read(losses);
    return { loss: loss!, correct: correct! };
  }
  async function gradients(): Promise<ConvWeights> {
    const all = await gpu.read(pass.gradients);
    const out = emptyConvWeights(shape);
    for (const name of CONV_PARAMETERS) out[name].set(stack.part(all, name));
    return out;
  }
  async function logits(mode: "training" | "evaluation") {
    pass.forward(recorder, mode);
    recorder.submit();
    return (await gpu.read(pass.logits)).slice(0, data.n * shape.classes);
  }
  function destroy() {
    recorder.destroy();
    pass.destroy();
    stack.destroy();
    gpu.release(losses);
  }
  return { stack, pass, recorder, losses, step, gradients, logits, destroy };
}
