import { describe, expect, it } from "vitest";
import { FieldError } from "../../src/config/errors.ts";
import type { UserField } from "../../src/config/ode.ts";
import { checkDerivatives, requireDerivatives } from "../../src/ode/check_vjp.ts";
import { checkField } from "../../src/ode/field_source.ts";
import { FIELDS } from "../../src/ode/fields.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();
const HEAD = "fn vector_field(t: f32, y: State, p: Params) -> State";

function field(source: string, dimension = 3, parameters: number | string[] = 2): UserField {
  return { name: "mine.wgsl", dimension, parameters, source };
}

async function refusal(source: string, dimension?: number, parameters?: number): Promise<FieldError> {
  const error = await checkField(gpu, field(source, dimension, parameters)).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof FieldError)) throw new Error(`expected a FieldError, got ${error}`);
  return error;
}

describe("what the compiler says stands at its place in the user's text", () => {
  it.each([
    [
      "a name that is not there",
      `${HEAD} {\n  let a = p[0];\n  return State(sgima * a, 0.0, 0.0);\n}\n`,
      "mine.wgsl:3:16: unresolved value 'sgima'\n    3 |   return State(sgima * a, 0.0, 0.0);\n      |                ^^^^^",
    ],
    [
      "a component too many",
      `${HEAD} {\n\tlet ν = 1.0; return State(y[3], ν, 0.0);\n}`,
      "mine.wgsl:2:30: index 3 out of bounds [0..2]\n    2 |  let ν = 1.0; return State(y[3], ν, 0.0);\n      |                              ^",
    ],
    [
      "a parameter too many",
      `${HEAD} { return State(p[2], 0.0, 0.0); }`,
      "mine.wgsl:1:72: index 2 out of bounds [0..1]",
    ],
    [
      "too few components",
      `${HEAD} {\n  return State(y[0], 0.0);\n}`,
      "mine.wgsl:2:10: array constructor has too few elements: expected 3, found 2",
    ],
    [
      "a missing semicolon",
      `${HEAD} {\n  let x = y[0]\n  return y;\n}`,
      "mine.wgsl:3:3: expected ';' for variable declaration",
    ],
    ["a text that ends too soon", `${HEAD} {\n  return y;\n`, "mine.wgsl:2:12: expected '}' for function body"],
    ["integers for floats", `${HEAD} {\n  return State(1u, 0.0, 0.0);\n}`, "mine.wgsl:2:16: "],
    [
      "an error in a helper",
      `fn half(x: f32) -> f32 {\n  return x / 2u;\n}\n${HEAD} { return y; }`,
      "mine.wgsl:2:10: ",
    ],
    ["a loop without end", `${HEAD} {\n  loop { }\n  return y;\n}`, "mine.wgsl:2:3: loop does not exit"],
    [
      "an error below blanked declarations",
      `alias State = array<f32, 3>;\nalias Params = array<f32, 2>;\n${HEAD} { return oops; }`,
      "mine.wgsl:3:64: unresolved value 'oops'",
    ],
  ])("%s", async (_, source, message) => {
    expect((await refusal(source)).message).toContain(message);
  });

  it("several errors: the first, and how many there are", async () => {
    const two = await refusal(`${HEAD} { return y; }\nfn f() -> f32 { return a; }\nfn g() -> f32 { return b; }`);
    expect(two.message).toContain("mine.wgsl:2:24: unresolved value 'a'");
  });

  it("text that wgsl_reflect cannot parse is left to the compiler", async () => {
    // A shift in an argument.
    const source = `const N = min(1u << 2u, 3u);\n${HEAD} { return State(f32(N), p[min(1u << 1u, 1u)], 0.0); }`;
    await expect(checkField(gpu, field(source))).resolves.toMatchObject({ functions: ["vector_field"] });
  });

  it("a device goes on after a text that does not compile", async () => {
    await refusal(`${HEAD} { return 1; }`);
    await gpu.settle();
  });
});

describe("the text may bring more", () => {
  it("helpers, constants, structs, its own aliases, unicode and comments", async () => {
    const source = `// parameters: a, b
/* a /* nested */ comment with fn vector_field and @group(0) */
const DIM = 3u;
alias State = array<f32, DIM>;
alias Params = array<f32, 2>;
struct Pair { x: f32, state: f32 }
const τ: f32 = 6.2831855;
fn pair(y: State) -> Pair { return Pair(y[0], y[1]); }
${HEAD} {
  var result = State(); // State is the kernel's
  let params = pair(y);
  for (var i = 0u; i < DIM; i++) { result[i] = params.x * τ * p[0]; }
  return result;
}
fn event_value(t: f32, y: State, p: Params) -> f32 { return y[0]; }`;
    const checked = await checkField(gpu, field(source));
    expect(checked.functions).toEqual(["vector_field", "event_value"]);
    expect(checked.source).toHaveLength(source.length);
    expect(checked.source).not.toContain("alias");
    expect(checked.source).toContain("const τ");
  });

  it("no parameters", async () => {
    await expect(checkField(gpu, field(`${HEAD} { return y; }`, 1, 0))).resolves.toBeDefined();
  });
});

describe("derivatives are checked by differences", () => {
  const problem = { initial: Float32Array.of(1, 0, 0, 2, -1, 3), start: 0, end: 1 };

  it.each(Object.values(FIELDS))("those of $name pass", async (builtIn) => {
    const { dimension, parameters, initial, defaults, source, span } = builtIn;
    const checked = await checkField(gpu, field(source, dimension, [...parameters]));
    const { compared, failures } = await checkDerivatives(gpu, checked, {
      initial: Float32Array.from(initial),
      parameters: Float32Array.from(defaults),
      start: span[0],
      end: span[1],
    });
    expect(failures).toEqual([]);
    const entries = dimension * (dimension + 1) * (dimension + parameters.length + 1);
    expect(compared).toBe(16 * (entries / dimension) + 16 * dimension * dimension);
  });

  const LORENZ = FIELDS.lorenz.source;
  it.each([
    [
      "a sign",
      "p[0] * w[0] - w[1] + y[0] * w[2]",
      "p[0] * w[0] + w[1] + y[0] * w[2]",
      "vector_field_vjp: ∂f[1]/∂y[1], times its weight, must be",
    ],
    [
      "a term left out that is 0 at the first initial state",
      "-y[0] * w[1] - p[2] * w[2]",
      "- p[2] * w[2]",
      "vector_field_vjp: ∂f[1]/∂y[2]",
    ],
    [
      "a wrong parameter",
      "Params((y[1] - y[0]) * w[0]",
      "Params((y[0] - y[1]) * w[0]",
      "vector_field_vjp: ∂f[0]/∂p[0]",
    ],
    [
      "a derivative by t that is not there",
      "0.0,\n  );\n}\nfn jacobian",
      "w[1],\n  );\n}\nfn jacobian",
      "vector_field_vjp: ∂f[1]/∂t",
    ],
    ["an error of 2 %", "-y[2] * w[2]),", "-1.02 * y[2] * w[2]),", "vector_field_vjp: ∂f[2]/∂p[2]"],
    ["products of weights", "y[0] * w[1], -y[2]", "y[0] * w[1] + w[0] * w[2], -y[2]", "vector_field_vjp: wᵀ∂f/∂p[1]"],
    ["a transposed Jacobian", "State(y[1], y[0], -p[2])", "State(y[0], y[1], -p[2])", "jacobian: ∂f[2]/∂y[0] must be"],
    ["not a number", "-p[0] * w[0] +", "sqrt(-2.0 - abs(t)) + -p[0] * w[0] +", "vector_field_vjp: "],
  ])("%s is found", async (_, right, wrong, message) => {
    expect(LORENZ).toContain(right);
    const checked = await checkField(gpu, field(LORENZ.replace(right, wrong), 3, 3));
    const parameters = Float32Array.of(10, 28, 8 / 3);
    const check = requireDerivatives(gpu, checked, { ...problem, parameters });
    await expect(check).rejects.toThrow(FieldError);
    await expect(check).rejects.toThrow(message);
    await expect(check).rejects.toThrow(/^mine\.wgsl:\d+:/);
  });

  it("sin and cos of the device, time dependence, no parameters, components of unlike size", async () => {
    const source = `${HEAD} { return State(sin(y[0] * 3.0) + t * t, exp(-y[1] * y[1]) * 1e-6, 1e6 * log(2.0 + y[2] * y[2])); }
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  return Pullback(
    State(3.0 * cos(y[0] * 3.0) * w[0], -2e-6 * y[1] * exp(-y[1] * y[1]) * w[1], 2e6 * y[2] / (2.0 + y[2] * y[2]) * w[2]),
    Params(),
    2.0 * t * w[0],
  );
}`;
    const checked = await checkField(gpu, field(source, 3, 0));
    expect((await checkDerivatives(gpu, checked, { ...problem, end: Float32Array.of(5, -3) })).failures).toEqual([]);
  });

  it("where f is not finite nothing can be compared, and that is said", async () => {
    const nothing = "bitcast<f32>(0x7fc00000u | u32(abs(t) * 0.0))";
    const source = `${HEAD} { return State(${nothing}, 0.0, 0.0); }
fn jacobian(t: f32, y: State, p: Params) -> array<State, DIM> { return array<State, DIM>(); }`;
    const checked = await checkField(gpu, field(source, 3, 0));
    // The other two components are finite.
    expect((await checkDerivatives(gpu, checked, problem)).compared).toBe(16 * 6);
    const all = await checkField(gpu, field(source.replace("0.0, 0.0)", `${nothing}, ${nothing})`), 3, 0));
    await expect(requireDerivatives(gpu, all, problem)).rejects.toThrow("derivatives cannot be checked");
  });

  it("functions that the device knows only to 2^-11", async () => {
    const source = `${HEAD} { return State(sin(y[0]), cos(p[0] * y[1]), tanh(y[2]) * exp(sin(y[2]))); }
fn vector_field_vjp(t: f32, y: State, p: Params, w: State) -> Pullback {
  let h = tanh(y[2]);
  let turn = -sin(p[0] * y[1]) * w[1];
  let growth = exp(sin(y[2])) * (1.0 - h * h + h * cos(y[2]));
  return Pullback(State(cos(y[0]) * w[0], p[0] * turn, growth * w[2]), Params(y[1] * turn), 0.0);
}`;
    const checked = await checkField(gpu, field(source, 3, 1));
    for (const size of [0.1, 1, 5, 30]) {
      const initial = Float32Array.of(size, -size, size, size / 2, size / 3, -size / 4);
      const near = { initial, parameters: Float32Array.of(1.3), start: 0, end: 1 };
      expect((await checkDerivatives(gpu, checked, near)).failures).toEqual([]);
    }
  });
});
