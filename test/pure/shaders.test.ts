import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { allShaders } from "../../src/gpu/catalog.ts";
import { KERNEL_NAMES } from "../../src/plan/kernel_name.ts";

const CATALOG = await allShaders();
const root = new URL("../../shaders/", import.meta.url);
const files = readdirSync(root, { recursive: true })
  .map((name) => String(name).replaceAll("\\", "/"))
  .filter((name) => name.endsWith(".wgsl"))
  .sort();
const text = (file: string) => readFileSync(new URL(file, root), "utf8");
const withoutComments = (source: string) => source.replace(/\/\/[^\n]*/g, "");

/** Variables declared in functions without an initial value: `var x: T;`, with or without an address space. */
function uninitialised(source: string): string[] {
  const code = withoutComments(source);
  const found: string[] = [];
  let depth = 0;
  for (const line of code.split("\n")) {
    const declaration = /\bvar\b(?:\s*<\s*function\s*>)?\s+(\w+)\s*(?::[^=;]*)?;/.exec(line);
    if (depth > 0 && declaration) found.push(declaration[1]);
    depth += (line.match(/\{/g)?.length ?? 0) - (line.match(/\}/g)?.length ?? 0);
  }
  return found;
}

test("the check for initial values sees what it looks for", () => {
  expect(
    uninitialised(
      "fn f() {\n  var x: f32;\n  var y = 1.0;\n  var z: vec4f = vec4f();\n  { var<function> q : array<f32, 4>; }\n}",
    ),
  ).toEqual(["x", "q"]);
  expect(
    uninitialised("var<workgroup> a: array<f32, 4>;\n@group(0) @binding(0) var<storage, read> b: array<f32>;"),
  ).toEqual([]);
});

describe.each(files)("%s", (file) => {
  const source = text(file);

  test("has a header and fewer than 200 lines", () => {
    const [first, second] = source.split("\n");
    expect(first).toMatch(/^\/\/ +\S.{20,}/);
    // Kernels state the formula and what the host promises; a library function may need one line.
    if (!file.startsWith("common/")) expect(second).toMatch(/^\/\/ +\S.{20,}/);
    expect(source.split("\n").length).toBeLessThan(200);
  });

  // Tint (webgpu 0.6.2) does not zero such a variable again on later loop trips: silent wrong answers.
  test("every var in a function has an initial value", () => {
    expect(uninitialised(source)).toEqual([]);
  });

  test("every @binding stands in an explicit @group(0)", () => {
    const code = withoutComments(source);
    const bindings = code.match(/@binding\(\d+\)/g)?.length ?? 0;
    expect(code.match(/@group\(0\) @binding\(\d+\) var<(storage, (read|read_write)|uniform)>/g)?.length ?? 0).toBe(
      bindings,
    );
  });
});

describe.each(KERNEL_NAMES)("%s", (name) => {
  const facts = CATALOG[name];
  // Some bindings, or all of them, stand in a module that several kernels import.
  const shared = [...text(`${name}.wgsl`).matchAll(/@binding/g)].length < facts.bindings.length;

  test("bindings are numbered in order: reads, then writes, then params", () => {
    // Kernels that share their bindings may leave some out.
    const numbers = facts.bindings.map(({ index }) => index);
    if (shared) expect(numbers).toEqual([...new Set(numbers)].sort());
    else expect(numbers).toEqual(facts.bindings.map((_, i) => i));
    const rank = { read: 0, read_write: 1, uniform: 2 };
    const ranks = facts.bindings.map(({ access }) => rank[access]);
    expect(ranks).toEqual([...ranks].sort());
    expect(ranks.filter((r) => r === 1).length).toBeGreaterThan(0);
    expect(facts.bindings.filter(({ access }) => access === "uniform").map((b) => b.name)).toEqual(["params"]);
    expect(facts.bindings.at(-1)!.name).toBe("params");
  });

  test("takes at most 8 storage buffers, the limit every adapter offers", () => {
    expect(facts.bindings.filter(({ access }) => access !== "uniform").length).toBeLessThanOrEqual(8);
  });

  test("params are 4 bytes each, in a slot of 256 bytes, unsigned before float", () => {
    facts.params.forEach(({ offset }, i) => {
      expect(offset).toBe(4 * i);
    });
    expect(facts.paramsBytes).toBeGreaterThanOrEqual(4 * facts.params.length);
    expect(facts.paramsBytes).toBeLessThanOrEqual(256);
    const types = facts.params.map(({ type }) => (type === "f32" ? 1 : 0));
    expect(types).toEqual([...types].sort());
  });

  test("the bindings and params of the file are those of the catalog", () => {
    const code = withoutComments(shared ? facts.source : text(`${name}.wgsl`));
    const declared = [...code.matchAll(/@binding\((\d+)\) var<(?:storage, )?(\w+)> (\w+)/g)];
    if (shared) declared.sort((a, b) => Number(a[1]) - Number(b[1]));
    expect(declared.map(([, index, access, binding]) => ({ name: binding, index: Number(index), access }))).toEqual(
      facts.bindings,
    );
    const struct = /struct (?:Solve)?Params \{([^}]*)\}/.exec(code)![1];
    expect([...struct.matchAll(/(\w+): (\w+)/g)].map(([, param, type]) => ({ param, type }))).toEqual(
      facts.params.map((param) => ({ param: param.name, type: param.type })),
    );
  });

  test("says whether it needs subgroups", () => {
    const [line] = /^.*\benable subgroups;/m.exec(withoutComments(text(`${name}.wgsl`))) ?? [];
    expect(facts.subgroups).toBe(line === "enable subgroups;");
    expect(facts.withoutSubgroups !== undefined).toBe(line === "@if(subgroups) enable subgroups;");
    const uses = /\bsubgroups;|\b(subgroup|quad)[A-Z]\w*\(/;
    expect(uses.test(withoutComments(facts.source))).toBe(line !== undefined);
    expect(uses.test(facts.withoutSubgroups ?? "")).toBe(false);
  });
});

test("every kernel name has a file, and every file but those of common/ a name", () => {
  expect(files.filter((file) => !file.startsWith("common/"))).toEqual(
    KERNEL_NAMES.map((name) => `${name}.wgsl`).sort(),
  );
  expect(Object.keys(CATALOG).sort()).toEqual([...KERNEL_NAMES].sort());
});
