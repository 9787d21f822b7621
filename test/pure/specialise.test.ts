import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { specialise } from "../../src/gpu/specialise.ts";

const flat = (text: string) => text.replace(/\s+/g, " ").trim();

describe("constants", () => {
  const source =
    "const WIDTH = 16u;\nconst SCALE = 1.0;\nconst CLIP = false;\nconst COUNT: i32 = 7;\nconst HALF = WIDTH / 2u;\n";

  test("are set by name and keep the suffix of the default", () => {
    expect(specialise(source, { WIDTH: 8, SCALE: 3, CLIP: true, COUNT: 9 })).toBe(
      "const WIDTH = 8u;\nconst SCALE = 3.0;\nconst CLIP = true;\nconst COUNT: i32 = 9;\nconst HALF = WIDTH / 2u;\n",
    );
    expect(specialise(source, { SCALE: 0.25 })).toContain("const SCALE = 0.25;");
  });

  test("no constants leave the text as it is", () => {
    expect(specialise(source, {})).toBe(source);
  });

  test("an unknown name is an error that names it", () => {
    expect(() => specialise(source, { WIDTH: 8, WIDHT: 8, HIGHT: 1 })).toThrow(/WIDHT, HIGHT/);
    // Control: a use of a name is not a declaration of it.
    expect(() => specialise("let x = WIDTH;\n", { WIDTH: 8 })).toThrow(/WIDTH/);
  });

  test("a hexadecimal default stays unsigned", () => {
    expect(specialise("const KEY = 0x1bu;\n", { KEY: 5 })).toBe("const KEY = 5u;\n");
  });

  test("a name that only begins like another one is not touched", () => {
    expect(specialise("const WIDTH2 = 4u;\nconst WIDTH = 4u;\n", { WIDTH: 9 })).toBe(
      "const WIDTH2 = 4u;\nconst WIDTH = 9u;\n",
    );
  });
});

describe("lists", () => {
  test("take the place of arrays of another length, and keep the type of their numbers", () => {
    const source = "const A = array<f32, 2>(1.0, 2.0); // of stages\nconst B = array<u32, 1>(\n  3u,\n);\n";
    expect(specialise(source, { A: [0.5, -1e-7, 3], B: [] })).toBe(
      "const A = array<f32, 3>(0.5, -1e-7, 3); // of stages\nconst B = array<u32, 0>();\n",
    );
  });

  test("cannot be numbers", () => {
    expect(() => specialise("const A = 2u;\n", { A: [1] })).toThrow(/list/);
  });
});

describe("a part", () => {
  const source = `fn f(x: f32) -> f32 { if (x > 0.0) { return x; } return 0.0; } // f
fn g() -> f32 { return f(1.0) + f2(); }
fn f2() -> f32 { return 2.0; }
`;

  test("brings its functions in place of those of the shader, and all that it declares", () => {
    const part = { source: "const K = 3.0;\nfn f(x: f32) -> f32 { return K; }", replaces: ["f", "f2"] };
    expect(specialise(source, {}, part)).toBe(
      ` // f
fn g() -> f32 { return f(1.0) + f2(); }
fn f2() -> f32 { return 2.0; }

const K = 3.0;
fn f(x: f32) -> f32 { return K; }`,
    );
  });

  test("brings structs too", () => {
    const shader = "struct Pair { x: f32, y: f32 }\nfn f() -> Pair { return Pair(); }\nfn Pair2() {}\n";
    const part = { source: "struct Pair { x: f32, y: f32, z: f32 }", replaces: ["Pair", "Pair2"] };
    expect(specialise(shader, {}, part)).toBe(
      "\nfn f() -> Pair { return Pair(); }\nfn Pair2() {}\n\nstruct Pair { x: f32, y: f32, z: f32 }",
    );
  });

  test("is not read: no constant of it is set, no function is replaced that it only mentions or was not asked for", () => {
    const part = {
      source: "// fn f2(\nfn g2() -> f32 { return f2(); }\nfn g() -> f32 { return 1.0; }",
      replaces: ["f2"],
    };
    expect(specialise(source, {}, part)).toContain(source);
    expect(() => specialise("const A = 1.0;\n", { K: 1 }, { source: "const K = 3.0;", replaces: [] })).toThrow(/K/);
  });
});

describe("@unroll", () => {
  test("writes the loop out, with unsigned literals", () => {
    expect(flat(specialise("//@unroll\nfor (var i = 0u; i < 3u; i++) {\n  x[i] = i;\n}\nend", {}))).toBe(
      "{ x[0u] = 0u; } { x[1u] = 1u; } { x[2u] = 2u; } end",
    );
  });

  test("an empty range leaves nothing", () => {
    expect(flat(specialise("a; //@unroll\nfor (var i = 2u; i < 2u; i++) { x[i] = 1; } b;", {}))).toBe("a; b;");
  });

  test("takes `i += 1u` too", () => {
    expect(flat(specialise("//@unroll\nfor (var i = 1u; i < 3u; i += 1u) { f(i); }", {}))).toBe(
      "{ f(1u); } { f(2u); }",
    );
  });

  test("bounds are expressions of constants, also of ones derived from those set", () => {
    const source =
      "const WIDTH = 16u;\nconst CHUNKS = WIDTH / 4u;\nconst LOADS = (2u * CHUNKS + 3u) / 4u;\n//@unroll\nfor (var t = LOADS - 1u; t < LOADS + CHUNKS % 2u; t++) { f(t); }";
    // WIDTH 12: CHUNKS 3, LOADS ⌊9/4⌋ = 2, t = 1, 2.
    expect(flat(specialise(source, { WIDTH: 12 }).split("4u;\n").at(-1)!)).toBe("{ f(1u); } { f(2u); }");
    expect(flat(specialise(source, {}).split("4u;\n").at(-1)!)).toBe("{ f(1u); }");
  });

  test("nests, and inner bounds may use the outer variable", () => {
    const source =
      "//@unroll\nfor (var r = 0u; r < 3u; r++) {\n//@unroll\nfor (var c = r; c < 2u * r; c++) { f(r, c); }\n}";
    expect(flat(specialise(source, {}))).toBe(
      "{ } { {f(1u, 1u); } } { {f(2u, 2u); } {f(2u, 3u); } }".replace(/\{f/g, "{ f"),
    );
  });

  test("a shadowing inner variable keeps its own value", () => {
    const source =
      "//@unroll\nfor (var i = 0u; i < 2u; i++) {\n//@unroll\nfor (var i = 5u; i < 6u; i++) { f(i); }\n g(i); }";
    expect(flat(specialise(source, {}))).toBe("{ { f(5u); } g(0u); } { { f(5u); } g(1u); }");
  });

  test("replaces whole identifiers only, and no members", () => {
    expect(flat(specialise("//@unroll\nfor (var i = 7u; i < 8u; i++) { i2 + xi + v.i + i.x + (i); }", {}))).toBe(
      "{ i2 + xi + v.i + 7u.x + (7u); }",
    );
  });

  test("braces in the body and in line comments do not end the loop", () => {
    const source =
      "//@unroll\nfor (var i = 0u; i < 2u; i++) {\n  if (a) { b(i); } else { c(); } // a lone } here\n  // and { here\n  d();\n}\ntail";
    expect(flat(specialise(source, {}).replace(/\/\/[^\n]*/g, ""))).toBe(
      "{ if (a) { b(0u); } else { c(); } d(); } { if (a) { b(1u); } else { c(); } d(); } tail",
    );
  });

  test("up to a number of trips; longer loops stay, with those inside that depend on them", () => {
    const source = (n: number) => `const N = ${n}u;
//@unroll up to 3
for (var i = 0u; i < N; i++) {
  //@unroll up to 3
  for (var j = i + 1u; j < N; j++) { f(i, j); }
  //@unroll up to 3
  for (var k = 0u; k < 2u; k++) { g(i, k); }
}
end`;
    expect(flat(specialise(source(3), {}).split(";\n").slice(1).join(";\n"))).toBe(
      flat(
        "{ { f(0u, 1u); } { f(0u, 2u); } { g(0u, 0u); } { g(0u, 1u); } } { { f(1u, 2u); } { g(1u, 0u); } { g(1u, 1u); } } { { g(2u, 0u); } { g(2u, 1u); } } end",
      ),
    );
    expect(flat(specialise(source(4), {}))).toBe(
      flat(
        "const N = 4u; for (var i = 0u; i < N; i++) { for (var j = i + 1u; j < N; j++) { f(i, j); } { g(i, 0u); } { g(i, 1u); } } end",
      ),
    );
  });

  test.each([
    ["a bound that is a variable", "//@unroll\nfor (var i = 0u; i < params.count; i++) { f(i); }", /constant bounds/],
    ["a bound that is a float", "const N = 2.5;\n//@unroll\nfor (var i = 0u; i < N; i++) { f(i); }", /constant bounds/],
    ["a bound that calls", "//@unroll\nfor (var i = 0u; i < min(2u, 3u); i++) { f(i); }", /constant bounds/],
    ["a mark without a loop", "//@unroll\nlet x = 1;\n", /must precede/],
    ["a loop that counts down", "//@unroll\nfor (var i = 3u; i > 0u; i--) { f(i); }", /must precede/],
    ["a loop without end", "//@unroll\nfor (var i = 0u; i < 2u; i++) { f(i);", /closing brace/],
    [
      "a loop without end that ends in a comment",
      "//@unroll\nfor (var i = 0u; i < 2u; i++) { f(i); // x",
      /closing brace/,
    ],
  ])("%s is an error", (_, source, message) => {
    expect(() => specialise(source, {})).toThrow(message);
  });

  test("unmarked loops stay", () => {
    const source = "for (var j = 0u; j < 4u; j++) { f(j); }";
    expect(specialise(source, {})).toBe(source);
  });
});

// A body of the restricted WGSL that is also JavaScript once `0u` is `0` and `var`/`for` mean the same in both.
interface Loop {
  readonly from: number;
  readonly count: number;
  readonly body: readonly Statement[];
}
type Statement = { readonly add: number; readonly times: number } | Loop;

const statement: fc.Arbitrary<Statement> = fc.letrec<{ statement: Statement; loop: Loop; leaf: Statement }>((tie) => ({
  leaf: fc.record({ add: fc.nat(9), times: fc.nat(9) }),
  loop: fc.record({
    from: fc.nat(3),
    count: fc.nat(3),
    body: fc.array(tie("statement"), { minLength: 1, maxLength: 3 }),
  }),
  statement: fc.oneof({ depthSize: "small" }, tie("leaf"), tie("loop")),
})).statement;

function write(node: Statement, level: number, marked: boolean): string {
  const outer = level > 0 ? `v${level - 1}` : "0u";
  if ("add" in node) return `x = (x * 31u + ${node.add}u + ${node.times}u * ${outer}) % 1000003u;\n`;
  const name = `v${level}`;
  const body = node.body.map((inner) => write(inner, level + 1, marked)).join("");
  return `${marked ? "//@unroll\n" : ""}for (var ${name} = ${node.from}u; ${name} < BASE + ${node.count + node.from}u - 2u; ${name}++) { // }\n${body}}\n`;
}

function evaluate(text: string): number {
  const script = text.replace(/(\d+)u\b/g, "$1").replace(/^const BASE = (.*);$/m, "");
  return new Function("BASE", `let x = 1; ${script.replace(/\bvar\b/g, "let")} return x;`)(3) as number;
}

test("property: the unrolled text computes what the loop computes", () => {
  fc.assert(
    fc.property(fc.array(statement, { minLength: 1, maxLength: 4 }), (nodes) => {
      const text = (marked: boolean) => `const BASE = 2u;\n${nodes.map((node) => write(node, 0, marked)).join("")}`;
      const unrolled = specialise(text(true), { BASE: 3 });
      expect(unrolled).not.toContain("for");
      expect(evaluate(unrolled)).toBe(evaluate(text(false)));
    }),
    { numRuns: 200 },
  );
});
