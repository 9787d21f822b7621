import { builtinModules } from "node:module";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";
import { expect, it } from "vitest";
import { bundleLibrary } from "../../scripts/bundle.mjs";

interface Bundle {
  /** Names of Node's modules that it would import. */
  readonly node: string[];
  readonly code: string;
  /** Files of the part that is loaded at once, and of those loaded when they are needed. */
  readonly first: string[];
  readonly later: string[];
  /** Bytes, gzipped, of the part loaded at once, and of the other parts by a file in each. */
  readonly firstBytes: number;
  readonly laterBytes: ReadonlyMap<string, number>;
}

const source = (file: string) => fileURLToPath(new URL(`../../src/${file}`, import.meta.url));
const ENTRY = "entry-of-this-test";

/** @param entry a file of src, or the names that a page takes from src/index.ts */
async function bundle(entry: string | readonly string[]): Promise<Bundle> {
  const imports = new Set<string>();
  const build = await rolldown({
    input: typeof entry === "string" ? source(entry) : ENTRY,
    platform: "browser",
    external: (id) => {
      const foreign = id.startsWith("node:") || builtinModules.includes(id);
      if (foreign) imports.add(id);
      return foreign;
    },
    plugins: [
      {
        name: "entry",
        resolveId: (id) => (id === ENTRY ? ENTRY : undefined),
        load: (id) =>
          id === ENTRY
            ? `export { ${(entry as string[]).join(", ")} } from ${JSON.stringify(source("index.ts"))}`
            : undefined,
      },
    ],
    treeshake: true,
    logLevel: "silent",
  });
  const { output } = await build.generate({ format: "esm", minify: true });
  await build.close();
  const chunks = output.flatMap((file) => (file.type === "chunk" ? [file] : []));
  for (const chunk of chunks)
    for (const id of [...chunk.imports, ...chunk.dynamicImports]) if (id.startsWith("node:")) imports.add(id);
  const modules = (isFirst: boolean) =>
    chunks.filter(({ isEntry }) => isEntry === isFirst).flatMap(({ moduleIds }) => moduleIds);
  return {
    node: [...imports],
    code: chunks.map(({ code }) => code).join("\n"),
    first: modules(true),
    later: modules(false),
    firstBytes: gzipped(chunks.find(({ isEntry }) => isEntry)!.code),
    laterBytes: new Map(
      chunks
        .filter(({ isEntry }) => !isEntry)
        .flatMap(({ moduleIds, code }) => moduleIds.map((id) => [id, gzipped(code)])),
    ),
  };
}

const gzipped = (code: string) => gzipSync(code, { level: 9 }).length;
const DYNAMIC_CODE = /\bnew Function\b|\bFunction\(|\beval\(/;
const NODE_NAMES = /["'`]node:|\brequire\(|\bprocess\.|\bBuffer\b/;

it("the surface for browsers reaches no module of Node and makes no code at run time", async () => {
  const { node, code } = await bundle("index.ts");
  expect(node).toEqual([]);
  expect(code).not.toMatch(NODE_NAMES);
  expect(code).not.toMatch(DYNAMIC_CODE);
});

it("one module for a script tag: nothing to resolve but the parser beside it", async () => {
  const files = await bundleLibrary();
  const code = files["deeplimit.min.js"]!;
  expect([...code.matchAll(/\bimport\s*\(?\s*["'`]([^"'`]+)/g)].map(([, id]) => id)).toEqual([
    "./deeplimit-fields.min.js",
  ]);
  expect(code).not.toMatch(/\bfrom\s*["'`]/);
  for (const each of Object.values(files)) {
    expect(each).not.toMatch(NODE_NAMES);
    expect(each).not.toMatch(DYNAMIC_CODE);
  }
  for (const [file, each] of Object.entries(files)) console.log(`${file}: ${kilobytes(gzipped(each))} gzipped`);
});

const STACKS = [
  "openBrowser",
  "DenseStack",
  "DensePass",
  "GradientFlow",
  "Measurements",
  "initialWeights",
  "flowSchema",
];
const ODES = ["openBrowser", "EnsembleSolve"];
const kilobytes = (bytes: number) => `${(bytes / 1000).toFixed(1)} kB`;

/** What a page loads that takes these names: the first part, and the kernels it runs. */
it.each([
  { name: "residual stacks", names: STACKS, families: ["dense", "flow", "loss", "metric"], most: 60_000 },
  { name: "ODEs", names: ODES, families: ["ode"], most: 70_000 },
  {
    name: "residual stacks and ODEs",
    names: [...STACKS, ...ODES],
    families: ["dense", "flow", "loss", "metric", "ode"],
    most: 100_000,
  },
])("a page with $name loads what it uses", async ({ name, names, families, most }) => {
  const { firstBytes, laterBytes, first } = await bundle([...new Set(names)]);
  const kernels = families.map((family) => laterBytes.get(source(`gpu/generated/${family}.ts`))!);
  const bytes = firstBytes + kernels.reduce((sum, each) => sum + each);
  console.log(`${name}: ${kilobytes(firstBytes)} and kernels ${kilobytes(bytes - firstBytes)}, gzipped`);
  expect(bytes).toBeLessThanOrEqual(most);
  expect(first.filter((file) => /conv_pass|conv_stack|image_set/.test(file))).toEqual([]);
  expect(first.some((file) => file.endsWith("ode/ensemble.ts"))).toBe(names.includes("EnsembleSolve"));
});

it("the parser of users' fields is loaded only with one", async () => {
  const { first, later } = await bundle("index.ts");
  const isParser = (file: string) => file.includes("wgsl_reflect");
  expect([first.some(isParser), later.some(isParser)]).toEqual([false, true]);
});

it("the check sees Node's modules where there are some", async () => {
  expect((await bundle("gpu/node_adapter.ts")).node).toContain("node:fs");
});
