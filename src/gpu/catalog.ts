/** The kernels by name: text, bindings and parameters, as the generator read them from shaders/. */
import type { KernelName } from "../plan/kernel_name.ts";
import { FAMILIES } from "./generated/families.ts";

export type Access = "read" | "read_write" | "uniform";

/** What the generator read from a `.wgsl` file; the text is without comments and indentation. */
export interface ShaderFacts {
  readonly source: string;
  /** Another text, for adapters without subgroups. */
  readonly withoutSubgroups?: string;
  readonly entryPoint: string;
  readonly bindings: readonly { readonly name: string; readonly index: number; readonly access: Access }[];
  readonly params: readonly { readonly name: string; readonly offset: number; readonly type: "u32" | "i32" | "f32" }[];
  readonly paramsBytes: number;
  /** It cannot do without subgroups. */
  readonly subgroups: boolean;
}

/** All kernels of a family, e.g. `ode`; a bundler makes each family a file of its own, loaded when it is first asked for. */
export async function shadersOf(family: string): Promise<Readonly<Record<string, ShaderFacts>>> {
  return (await FAMILIES[family]!()).SHADERS;
}

export async function shaderFacts(name: KernelName): Promise<ShaderFacts> {
  return (await shadersOf(name.slice(0, name.indexOf("/"))))[name]!;
}

export async function allShaders(): Promise<Readonly<Record<KernelName, ShaderFacts>>> {
  const families = await Promise.all(Object.keys(FAMILIES).map(shadersOf));
  return Object.assign({}, ...families) as Record<KernelName, ShaderFacts>;
}
