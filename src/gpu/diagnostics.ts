import type { Gpu } from "./device.ts";

/** An error of the compiler in a shader's text: line and column from 1; a length of 0 where the text ends too soon. */
export interface CompileError {
  readonly line: number;
  readonly column: number;
  readonly length: number;
  readonly message: string;
}

/** What the device's compiler says against a text; empty when it compiles. */
export async function compileErrors(gpu: Gpu, label: string, code: string): Promise<CompileError[]> {
  // Text that does not compile is what was asked about: it does not count as a failure of the device.
  gpu.device.pushErrorScope("validation");
  const module = gpu.device.createShaderModule({ label, code });
  const [{ messages }] = await Promise.all([module.getCompilationInfo(), gpu.device.popErrorScope()]);
  return messages
    .filter(({ type }) => type === "error")
    .map(({ lineNum, linePos, length, message }) => ({ line: lineNum, column: linePos, length, message }));
}
