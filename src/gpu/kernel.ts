import type { KernelName } from "../plan/kernel_name.ts";
import { type ShaderFacts, shaderFacts } from "./catalog.ts";
import { KernelError } from "./errors.ts";
import { type Constants, type ShaderPart, specialise } from "./specialise.ts";

/** A compiled variant: one shader with its constants set. */
export interface Kernel {
  readonly name: KernelName;
  /** Distinguishes variants of one kernel in caches. */
  readonly id: number;
  readonly facts: ShaderFacts;
  readonly layout: GPUBindGroupLayout;
  readonly pipeline: GPUComputePipeline;
}

let nextId = 1;
const COMPUTE = 4; // GPUShaderStage.COMPUTE

/**
 * @param subgroups whether the kernel may use them; one that need not is then compiled from another text
 * @throws KernelError with the compiler's message and the numbered source; any such error is a bug of this library.
 */
export async function compileKernel(
  device: GPUDevice,
  subgroups: boolean,
  name: KernelName,
  constants: Constants,
  part?: ShaderPart,
): Promise<Kernel> {
  const facts = await shaderFacts(name);
  const source = subgroups ? facts.source : (facts.withoutSubgroups ?? facts.source);
  const code = specialise(source, constants, part);
  // What does not compile is thrown below; in a scope it does not count as a failure of the device.
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label: name, code });
  const [{ messages }] = await Promise.all([module.getCompilationInfo(), device.popErrorScope()]);
  const error = messages.find((message) => message.type === "error");
  if (error) {
    const numbered = code
      .split("\n")
      .map((line, i) => `${String(i + 1).padStart(4)} ${line}`)
      .join("\n");
    throw new KernelError(name, `line ${error.lineNum}:${error.linePos}: ${error.message}`, numbered);
  }
  const layout = device.createBindGroupLayout({
    label: name,
    entries: facts.bindings.map(({ index, access }) => ({
      binding: index,
      visibility: COMPUTE,
      buffer:
        access === "uniform"
          ? { type: "uniform" as const, hasDynamicOffset: true, minBindingSize: facts.paramsBytes }
          : { type: access === "read" ? ("read-only-storage" as const) : ("storage" as const) },
    })),
  });
  try {
    const pipeline = await device.createComputePipelineAsync({
      label: name,
      layout: device.createPipelineLayout({ label: name, bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: facts.entryPoint },
    });
    return { name, id: nextId++, facts, layout, pipeline };
  } catch (failure) {
    throw new KernelError(name, (failure as Error).message, code);
  }
}
