import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { decimal } from "../../src/cli/solve_files.ts";
import { chooseField, readInputs, readTimes } from "../../src/cli/solve_inputs.ts";
import { eventOf, inOptions, type SolveOptions, solverOptions, withEvent } from "../../src/cli/solve_options.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { encodeNpy } from "../../src/data/npy.ts";

const dir = mkdtempSync(join(tmpdir(), "deeplimit-solve-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let files = 0;
/** A file with this content; its name begins with `name`. */
function file(content: string | Uint8Array, name = "table.csv"): string {
  const path = join(dir, `${files++}-${name}`);
  writeFileSync(path, content);
  return path;
}

const FIELD = "fn vector_field(t: f32, y: State, p: Params) -> State { return y; }";
const lorenz = (options: { y0?: string; params?: string; t0?: string; t1?: string }) =>
  readInputs(chooseField("lorenz"), options);
const numbers = (values: number | Float32Array | undefined) => (values instanceof Float32Array ? [...values] : values);

describe("inputs of a built-in field", () => {
  it("all by default", () => {
    const inputs = lorenz({});
    expect(inputs.field).toMatchObject({ name: "lorenz", dimension: 3, parameters: ["σ", "ρ", "β"] });
    expect([...inputs.initial]).toEqual([1, 0, 0]);
    expect([...inputs.parameters]).toEqual([10, 28, Math.fround(8 / 3)]);
    expect([inputs.start, inputs.end]).toEqual([0, 1]);
  });

  it("a sweep of one parameter, spelled out; one initial state for all", () => {
    const inputs = lorenz({ y0: file("1,2,3\n"), params: file("rho\n1\n2\n"), t1: "-3.5" });
    expect([...inputs.initial]).toEqual([1, 2, 3, 1, 2, 3]);
    expect([...inputs.parameters]).toEqual([10, 1, 8 / 3, 10, 2, 8 / 3].map(Math.fround));
    expect(inputs.end).toBe(-3.5);
  });

  it("columns in another order, by their names", () => {
    expect([...lorenz({ y0: file("z,x,y\n3,1,2\n") }).initial]).toEqual([1, 2, 3]);
    const { parameters } = lorenz({ params: file("β,σ\n7,8\n") });
    expect([...parameters]).toEqual([8, 28, 7]);
  });

  it("times and tolerances of each trajectory, in columns or in files", () => {
    const inputs = lorenz({ y0: file("x,y,z,t1,rtol\n1,2,3,4,1e-3\n5,6,7,8,1e-4\n"), t0: file("-1\n-2\n") });
    expect([...inputs.initial]).toEqual([1, 2, 3, 5, 6, 7]);
    expect([inputs.start, inputs.end, inputs.rtol].map(numbers)).toEqual([
      [-1, -2],
      [4, 8],
      [1e-3, 1e-4].map(Math.fround),
    ]);
    expect(inputs.atol).toBeUndefined();
    // Only times: the state is the usual one.
    expect([...lorenz({ y0: file("t1\n2\n3\n") }).initial]).toEqual([1, 0, 0, 1, 0, 0]);
  });

  it("arrays of NumPy", () => {
    const y0 = file(encodeNpy(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]), "y0.npy");
    const t1 = file(encodeNpy(Int32Array.of(7, 8), [2]), "t1.npy");
    const inputs = lorenz({ y0, t1 });
    expect([...inputs.initial]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(numbers(inputs.end)).toEqual([7, 8]);
  });

  it.each([
    ["a column too few", { y0: "1,2\n" }, "y0.csv: must have 3 columns, x, y, z of lorenz, got 2"],
    ["a name that is no component", { y0: "x,y,w\n1,2,3\n" }, "column w is none of the components of lorenz (x, y, z)"],
    [
      "a name that is no parameter",
      { params: "rhoo\n1\n" },
      "column rhoo is none of the parameters of lorenz (σ, ρ, β), did you mean rho?",
    ],
    [
      "unnamed parameters that are not all",
      { params: "1,2\n" },
      "must have 3 columns, σ, ρ, β of lorenz, or a header that names some of them, got 2",
    ],
    [
      "unlike numbers of rows",
      { y0: "1,2,3\n4,5,6\n7,8,9\n", params: "rho\n1\n2\n" },
      "params.csv: must have 1 row, or 3 as ",
    ],
    ["times of another number", { y0: "1,2,3\n4,5,6\n", t1: "1\n2\n3\n" }, "y0.csv: must have 1 row, or 3 as "],
    ["two columns of times", { t1: "1,2\n" }, "must have 1 column, a time a trajectory, got 2"],
    ["a column in both files", { y0: "t1\n2\n", params: "t1\n3\n" }, "params.csv: must not have column t1, as "],
    ["a ragged row", { y0: "1,2,3\n4,5\n" }, "y0.csv: line 2 must have 3 columns as line 1 has, got 2"],
    [
      "three dimensions",
      { y0: encodeNpy(new Float32Array(8), [2, 2, 2]) },
      "must have one or two dimensions, got shape (2, 2, 2)",
    ],
    ["an empty array", { y0: encodeNpy(new Float32Array(0), [0, 3]) }, "must not be empty, got shape (0, 3)"],
  ])("%s is an error", (_, contents: Record<string, string | Uint8Array>, message) => {
    const options = Object.fromEntries(
      Object.entries(contents).map(([name, content]) => [name, file(content, `${name}.csv`)]),
    );
    expect(() => lorenz(options)).toThrow(message);
  });

  it("an option against a column, a file that is not there, a CSV named npy", () => {
    expect(() => lorenz({ y0: file("t1\n2\n"), t1: "3" })).toThrow(
      '--t1 must be left out, as a file has a column t1, got "3"',
    );
    expect(() => lorenz({ y0: join(dir, "absent.csv") })).toThrow("absent.csv: cannot be read: there is no such file");
    expect(() => lorenz({ t1: "later" })).toThrow(
      '--t1 must be a number, or a file with one for each trajectory, got "later"',
    );
    expect(() => lorenz({ y0: file("1,2,3\n", "y0.npy") })).toThrow("is no NumPy array file");
  });

  it("a name that is none", () => {
    expect(() => chooseField("lorentz")).toThrow(
      /field must be a file ending in \.wgsl, or one of .*did you mean lorenz\?/,
    );
    expect(() => chooseField("absent.wgsl")).toThrow("absent.wgsl: cannot be read");
  });
});

describe("inputs of a field in a file", () => {
  const read = (head: string, options: Parameters<typeof lorenz>[0]) =>
    readInputs(chooseField(file(`${head}\n${FIELD}`, "mine.wgsl")), options);

  it("names come from its head, from the files, or are numbers", () => {
    const y0 = file("u,v\n1,2\n");
    const named = read("// components: v, u\n// parameters: a = 3, b", { y0, params: file("b\n4\n"), t1: "1" });
    expect([...named.initial]).toEqual([2, 1]);
    expect([...named.parameters]).toEqual([3, 4]);
    const fromFiles = read("", { y0, params: file("k\n5\n6\n"), t1: "1" });
    expect(fromFiles).toMatchObject({ components: ["u", "v"], parameterNames: ["k"] });
    const bare = read("", { y0: file("1,2\n"), params: file("5,6,7\n"), t1: "1" });
    expect(bare).toMatchObject({ components: ["y0", "y1"], parameterNames: ["p0", "p1", "p2"] });
    expect(read("", { y0, t1: "1" }).field).toMatchObject({ dimension: 2, parameters: [] });
  });

  it("from Windows", () => {
    const inputs = read("\ufeff// components: v, u\r\n// parameters: a = 3\r", { y0: file("u,v\r\n1,2\r\n"), t1: "1" });
    expect(inputs.field.source.startsWith("// components")).toBe(true);
    expect([...inputs.initial, ...inputs.parameters]).toEqual([2, 1, 3]);
  });

  it.each([
    ["no initial states", "", {}, "--y0: must name a file of initial states, a row a trajectory, for "],
    ["no end", "", { y0: "1\n" }, "--t1: must be given: where the solve ends"],
    ["a parameter without default", "// parameters: a", { y0: "1\n" }, "--params: must name a file with a: "],
    [
      "a parameter that the file leaves out",
      "// parameters: a, b = 1",
      { y0: "1\n", params: "b\n2\n" },
      "must have a column a: ",
    ],
  ])("%s is an error", (_, head, contents: Record<string, string>, message) => {
    const options = Object.fromEntries(Object.entries(contents).map(([name, text]) => [name, file(text)]));
    expect(() => read(head, options)).toThrow(message);
  });
});

it("times of a save grid: of all, or of each", () => {
  expect(readTimes(file("0\n0.5\n1\n"), 2)).toEqual(Float32Array.of(0, 0.5, 1));
  expect(readTimes(file("t,trajectory\n0.5,1\n0,0\n1,1\n"), 3)).toEqual([
    Float32Array.of(0),
    Float32Array.of(0.5, 1),
    new Float32Array(),
  ]);
  expect(() => readTimes(file("trajectory,t\n0,1\n2,1\n"), 2)).toThrow("line 3 must have a trajectory in 0..1, got 2");
  expect(() => readTimes(file("1,2\n"), 2)).toThrow(
    "must have one column of times, or two with the header trajectory,t",
  );
});

describe("options", () => {
  const parse = (options: Partial<SolveOptions>) =>
    solverOptions({ adapter: "auto", ...options }, () => Float32Array.of(0, 1));

  it("become those of the solver", () => {
    expect(parse({})).toEqual({
      method: "tsit5",
      steps: { kind: "adaptive", rtol: 1e-4, atol: 1e-6 },
      save: { kind: "end" },
    });
    expect(parse({ method: "rk4", dt: "0.5", save: "grid:0:1:5" })).toEqual({
      method: "rk4",
      steps: { kind: "fixed", dt: 0.5 },
      save: { kind: "grid", times: Float32Array.of(0, 0.25, 0.5, 0.75, 1) },
    });
    expect(parse({ steps: "10", save: "steps:2" })).toMatchObject({
      steps: { kind: "fixed", count: 10 },
      save: { kind: "steps", every: 2 },
    });
    expect(parse({ rtol: "0", maxSteps: "9", controller: "sciml-pi", save: "times:a:b.csv" })).toMatchObject({
      steps: { rtol: 0, maxSteps: 9, controller: "sciml-pi" },
      save: { kind: "grid", times: Float32Array.of(0, 1) },
    });
    // The last time is the one typed, not a sum.
    expect((parse({ save: "grid:0:0.3:4" }).save as { times: Float32Array }).times[3]).toBe(Math.fround(0.3));
  });

  it.each<[Partial<SolveOptions>, string]>([
    [
      { method: "tsit6" },
      '--method must be one of euler, heun, midpoint, ralston, rk4, rk38, bosh3, dopri5, tsit5, vern7, dopri8, rosenbrock23, rodas4, rodas5p, kvaerno3, kvaerno5, leapfrog, reversible-heun (did you mean tsit5?), got "tsit6"',
    ],
    [{ method: "rk4" }, '--method must have an error estimate unless --dt or --steps is given, got "rk4"'],
    [{ rtol: "-1" }, '--rtol must be a number >= 0, got "-1"'],
    [{ atol: "" }, '--atol must be a number >= 0, got ""'],
    [{ dt: "0" }, '--dt must be a number > 0, got "0"'],
    [{ steps: "1.5" }, '--steps must be an integer >= 1, got "1.5"'],
    [{ maxSteps: "none" }, '--max-steps must be an integer >= 1, got "none"'],
    [{ controller: "diffrax" }, "(did you mean diffrax-i?)"],
    [{ save: "gridd:0:1:2" }, "(did you mean grid:FROM:TO:COUNT?)"],
    [{ save: "grid:0:1" }, "--save must be one of end, grid:FROM:TO:COUNT, times:FILE, steps:EVERY, statistics"],
    [{ save: "grid:0:x:3" }, '--save must be a number, got "x"'],
    [{ save: "end:3" }, "--save must be one of"],
    [{ save: "times:" }, "--save must be one of"],
    [{ event: "x" }, "--event must be COMPONENT=VALUE or event_value"],
    [{ event: "x=zero" }, "--event must be COMPONENT=VALUE"],
    [{ event: "x=0,upp" }, "--event must be COMPONENT=VALUE"],
    [{ event: "x=0,count=0" }, '--event must be an integer >= 1, got "0"'],
    [{ event: "x=0,record,count=2" }, "--event must not have both record and count"],
  ])("%j is refused", (options, message) => {
    expect(() => parse(options)).toThrow(ConfigError);
    expect(() => parse(options)).toThrow(message);
  });

  it("an event is a crossing of a component, or the field's own function", () => {
    expect(eventOf("x=0")).toEqual({
      event: { terminal: true, direction: 0, count: 1, maximum: 1 },
      crossing: { component: "x", value: 0 },
    });
    expect(eventOf("y[1]=-2.5,down,record,max=9").event).toEqual({
      terminal: false,
      direction: -1,
      count: 1,
      maximum: 9,
    });
    expect(eventOf("event_value,up,count=3")).toEqual({
      event: { terminal: true, direction: 1, count: 3, maximum: 3 },
      crossing: undefined,
    });
    const field = { name: "f", dimension: 2, parameters: 0, source: FIELD };
    expect(withEvent(field, ["x", "v"], "v=-2.5").source).toContain("return y[1] - f32(-2.5);");
    expect(withEvent(field, ["x", "v"], "y[0]=1").source).toContain("return y[0] - f32(1);");
    expect(() => withEvent(field, ["x", "v"], "w=1")).toThrow(
      "--event must name one of the components x, v of f, or y[0] to y[1]",
    );
    expect(() => withEvent(field, ["x", "v"], "y[2]=1")).toThrow("--event must name one of the components");
    expect(() => withEvent(field, ["x", "v"], "event_value")).toThrow("as f declares no event_value");
    const own = { ...field, source: `${FIELD}\nfn event_value(t: f32, y: State, p: Params) -> f32 { return t; }` };
    expect(withEvent(own, ["x", "v"], "event_value")).toBe(own);
    expect(() => withEvent(own, ["x", "v"], "x=1")).toThrow("--event must be event_value, as f declares it");
  });

  it("what the solver refuses is said of the options", () => {
    const said = (field: string) => (inOptions(new ConfigError(field, "must be right", 1)) as Error).message;
    expect(said("steps.rtol")).toBe("--rtol must be right, got 1");
    expect(said("save.times")).toBe("times of --save must be right, got 1");
    expect(said("start[3]")).toBe("--t0 of trajectory 3 must be right, got 1");
    expect(said("field.dimension")).toBe("field.dimension must be right, got 1");
    const other = new Error("other");
    expect(inOptions(other)).toBe(other);
  });
});

it("numbers are written so that they are read back as the same float32", () => {
  expect([0.1, 1 / 3, 16777216, -0, 1e-45, 3.4028234663852886e38].map((x) => decimal(Math.fround(x)))).toEqual([
    ...["0.1", "0.33333334", "16777216", "-0", "1.4013e-45", "3.4028235e+38"],
  ]);
  expect([Number.NaN, Infinity, -Infinity].map(decimal)).toEqual(["nan", "inf", "-inf"]);
  fc.assert(
    fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (x) => {
      expect(Object.is(Math.fround(Number(decimal(x))), x)).toBe(true);
    }),
  );
});
