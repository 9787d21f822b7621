import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FieldError } from "../../src/config/errors.ts";
import { shadersOf } from "../../src/gpu/catalog.ts";
import { fieldHeader, readField } from "../../src/ode/field_source.ts";
import { FIELDS } from "../../src/ode/fields.ts";

const HEAD = "fn vector_field(t: f32, y: State, p: Params) -> State";
const BODY = `${HEAD} { return y; }`;

const read = (source: string, dimension = 3, parameters = 2) =>
  readField({ name: "mine.wgsl", dimension, parameters, source });

describe("what a field may declare", () => {
  it.each([
    [
      "a binding",
      `@group(0) @binding(0) var<storage> q: array<f32>;\n${BODY}`,
      "mine.wgsl:1:1: must not declare bindings",
    ],
    [
      "an entry point",
      `${BODY}\n  @compute @workgroup_size(1) fn go() {}`,
      "mine.wgsl:2:3: must not declare entry points",
    ],
    ["an override", `override a = 1.0;\n${BODY}`, "mine.wgsl:1:1: must not declare overrides"],
    ["a directive", `// head\nenable f16;\n${BODY}`, "mine.wgsl:2:1: must not have directives"],
    [
      "a private variable",
      `var<private> count: u32;\n${BODY}`,
      "mine.wgsl:1:1: must not declare variables that outlive a call",
    ],
    ["a workgroup variable", `var<workgroup> count: u32;\n${BODY}`, "must not declare variables that outlive a call"],
    [
      "a barrier",
      `${HEAD} {\n  workgroupBarrier();\n  return y;\n}`,
      "mine.wgsl:2:3: must not call functions that take several trajectories together",
    ],
    [
      "a subgroup function",
      `${HEAD} { return State(subgroupAdd(y[0]), 0.0, 0.0); }`,
      "must not call functions that take several",
    ],
    [
      "no vector_field",
      "fn f(x: f32) -> f32 { return x; }",
      "mine.wgsl: must declare fn vector_field(t: f32, y: State, p: Params) -> State",
    ],
    ["vector_field in a comment", `/* ${BODY} */`, "must declare fn vector_field"],
    ["nothing", " ", "must declare fn vector_field"],
    [
      "a kernel's function",
      `fn control(x: f32) -> f32 { return x; }\n${BODY}`,
      "mine.wgsl:1:4: must not declare control: the kernels use that name",
    ],
    ["a kernel's constant", `${BODY}\nconst ODE_STAGES = 3u;`, "mine.wgsl:2:7: must not declare ODE_STAGES"],
    ["a kernel's structure", `struct OdeTrajectory { x: f32 }\n${BODY}`, "must not declare OdeTrajectory"],
    [
      "a built-in function that kernels call",
      `fn select(x: f32) -> f32 { return x; }\n${BODY}`,
      "must not declare select",
    ],
    ["a built-in type", `alias u32 = f32;\n${BODY}`, "must not declare u32"],
    [
      "the kernel's memory",
      `${HEAD} {\n  return State(bitcast<f32>(state[0]), 0.0, 0.0);\n}`,
      "mine.wgsl:2:29: must not use state, which belongs to the kernels",
    ],
    ["the kernel's parameters", `${HEAD} { return State(f32(params.count), 0.0, 0.0); }`, "must not use params"],
  ])("not %s", async (_, source, message) => {
    await expect(read(source)).rejects.toThrow(FieldError);
    await expect(read(source)).rejects.toThrow(message);
  });

  it.each([
    ["local variables with names of the kernel", `${HEAD} { let state = y; var params = p; return state; }`],
    [
      "arguments and members with names of the kernel",
      `struct Pocket { grid: f32 }\nfn f(list: f32) -> Pocket { return Pocket(list); }\n${BODY}`,
    ],
    ["members of values", `fn f(v: vec3f) -> f32 { return v.x; }\n${BODY}`],
    ["a built-in function that no kernel calls", `fn reflect(x: f32) -> f32 { return x; }\n${BODY}`],
    ["variables of a function", `${HEAD} { var<function> x = y; return x; }`],
    ["forbidden words in comments", `// @group(0) override workgroupBarrier()\n${BODY} /* var<private> x */`],
    [
      "short names",
      `const A = 1.0; const B = 2.0; const C = 3.0; const GAMMA = 0.5; struct Mesh { x: f32 }\nalias Trial = f32; ${BODY}`,
    ],
    ["const_assert", `const_assert DIM == 3u;\n${BODY}`],
    ["constants of functions", `const k = sqrt(2.0) * pow(2.0, 3.0);\n${BODY}`],
  ])("but %s", async (_, source) => {
    await expect(read(source)).resolves.toMatchObject({ functions: ["vector_field"] });
  });
});

// Constants and structures of the kernels begin with ODE_ and Ode, so that a field may have all other names.
it("the kernels that take a field leave short names to it", async () => {
  const taken = new Set<string>();
  for (const { source } of Object.values(await shadersOf("ode"))) {
    if (!source.includes("fn vector_field(")) continue;
    for (const [, name] of source.matchAll(/^(?:const|struct|alias)\s+(\w+)/gm)) taken.add(name);
  }
  const provided = ["DIM", "PARAMETERS", "State", "Params", "Pullback"];
  expect(taken).toContain("ODE_SAFETY");
  expect([...taken].filter((name) => !/^(ODE_|Ode)/.test(name)).sort()).toEqual(
    [...provided, "SolveParams", "WORKGROUP"].sort(),
  );
});

it("parameters are not read where there are none", async () => {
  const source = `fn rate(q: Params) -> f32 {\n  return q[0];\n}\n${HEAD} { return State(rate(p), y[1], 0.0); }`;
  await expect(read(source, 3, 0)).rejects.toThrow("mine.wgsl:2:10: must not read q: there are no parameters");
  await expect(read(source, 3, 1)).resolves.toBeDefined();
  await expect(read(`${HEAD} { let help = y; return State(help[0], y[1], 0.0); }`, 3, 0)).resolves.toBeDefined();
});

describe("forms of the functions", () => {
  it.each([
    ["too few arguments", "fn vector_field(t: f32, y: State) -> State { return y; }"],
    ["arguments in another order", "fn vector_field(y: State, t: f32, p: Params) -> State { return y; }"],
    ["a vector for a state", "fn vector_field(t: f32, y: vec3f, p: Params) -> vec3f { return y; }"],
    ["no result", "fn vector_field(t: f32, y: State, p: Params) { }"],
    ["another length", "fn vector_field(t: f32, y: array<f32, 4>, p: Params) -> array<f32, 4> { return y; }"],
    ["integers", "fn vector_field(t: f32, y: array<i32, 3>, p: Params) -> State { return State(); }"],
  ])("vector_field with %s is refused", async (_, source) => {
    await expect(read(source)).rejects.toThrow(
      "mine.wgsl:1:4: vector_field must be fn vector_field(t: f32, y: State, p: Params) -> State",
    );
  });

  it.each([
    ["event_value", "fn event_value(t: f32, y: State) -> f32 { return y[0]; }", "(t: f32, y: State, p: Params) -> f32"],
    ["jacobian", "fn jacobian(t: f32, y: State, p: Params) -> State { return y; }", "-> array<State, DIM>"],
    [
      "vector_field_vjp",
      "fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> State { return w; }",
      "-> Pullback",
    ],
  ])("%s too", async (name, source, form) => {
    await expect(read(`${BODY}\n${source}`)).rejects.toThrow(`mine.wgsl:2:4: ${name} must be fn ${name}(`);
    await expect(read(`${BODY}\n${source}`)).rejects.toThrow(form);
  });

  it("types may be written out, or by aliases of one's own", async () => {
    const source = `alias V = array<f32, 3>;
fn vector_field(time: f32, x: array<f32, 3u>, q: array<f32, PARAMETERS>) -> V { return x; }
fn jacobian(t: f32, y: V, p: Params) -> array<array<f32, DIM>, DIM> { return array<V, 3>(y, y, y); }`;
    await expect(read(source)).resolves.toMatchObject({ functions: ["vector_field", "jacobian"] });
  });
});

describe("a file that an editor understands on its own", () => {
  const OWN = `const DIM = 3u; const PARAMETERS : u32 = 2;
alias State = array<f32, DIM>;
alias Params = array<f32, PARAMETERS>;
struct Pullback {
  y: State,
  p: Params,
  t: f32,
}
`;
  it("may declare what the kernels give it; that is taken out, and lines stay where they were", async () => {
    const { source } = await read(OWN + BODY);
    expect(source).toBe(`${OWN.replace(/[^\n]/g, " ")}${BODY}`);
  });

  it.each([
    ["DIM = 3u", "DIM = 4u", "mine.wgsl:1:7: DIM must be 3, as the problem has it"],
    [": u32 = 2", ": u32 = 3", "PARAMETERS must be 2, as the problem has it"],
    ["f32, DIM", "f32, 4", "mine.wgsl:2:7: State must be array<f32, 3>: there are 3 components of a state"],
    ["f32, PARAMETERS", "f32, 5", "mine.wgsl:3:7: Params must be array<f32, 2>: there are 2 parameters"],
    ["t: f32", "time: f32", "mine.wgsl:4:8: Pullback must be struct Pullback { y: State, p: Params, t: f32 }"],
  ])("%s as %s is refused", async (right, wrong, message) => {
    await expect(read(OWN.replace(right, wrong) + BODY)).rejects.toThrow(message);
  });
});

describe("the head of a file", () => {
  it("names parameters, with values or without, and components", () => {
    const source =
      "// Lorenz 1963\n\n// parameters: σ = 10, rho=28.5, b\n//components: x, y,z\nconst a = 1;\n// parameters: late";
    expect(fieldHeader(source, "f")).toEqual({
      parameters: [{ name: "σ", value: 10 }, { name: "rho", value: 28.5 }, { name: "b" }],
      components: ["x", "y", "z"],
    });
    expect(fieldHeader(BODY, "f")).toEqual({});
  });

  it("of a file from Windows", () => {
    expect(fieldHeader("// components: x, y\r\n// parameters: a = 1\r\nconst b = 1;\r\n", "f")).toEqual({
      components: ["x", "y"],
      parameters: [{ name: "a", value: 1 }],
    });
  });

  it.each([
    ["// parameters: a = ten", "f:1:1: parameters must be names, or names with a number"],
    ["// parameters: a,, b", "parameters must be names"],
    ["// parameters: 3", "parameters must be names"],
    ["\n// components: x = 1", "f:2:1: components must be names without numbers"],
  ])("%j is refused", (source, message) => {
    expect(() => fieldHeader(source, "f")).toThrow(message);
  });
});

it("sines of the built-in fields are those of the activations", () => {
  const activation = readFileSync(new URL("../../shaders/common/activation.wgsl", import.meta.url), "utf8");
  const text = /fn sin_pair\(x: f32\) -> vec2f \{.*?\n\}\n/s.exec(activation)![0];
  expect(FIELDS.pendulum.source).toContain(text);
});
