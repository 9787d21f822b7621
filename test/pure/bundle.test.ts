import { builtinModules } from "node:module";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";
import { expect, it } from "vitest";

interface Bundle {
  /** Names of Node's modules that it would import. */
  readonly node: string[];
  readonly code: string;
  /** Files of the part that is loaded at once, and of those loaded when they are needed. */
  readonly first: string[];
  readonly later: string[];
}

async function bundle(entry: string): Promise<Bundle> {
  const imports = new Set<string>();
  const build = await rolldown({
    input: fileURLToPath(new URL(`../../src/${entry}`, import.meta.url)),
    platform: "browser",
    external: (id) => {
      const foreign = id.startsWith("node:") || builtinModules.includes(id);
      if (foreign) imports.add(id);
      return foreign;
    },
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
  };
}

it("the surface for browsers reaches no module of Node", async () => {
  const { node, code } = await bundle("index.ts");
  expect(node).toEqual([]);
  expect(code).not.toMatch(/["'`]node:|\brequire\(|\bprocess\.|\bBuffer\b/);
  console.log(`src/index.ts bundled: ${code.length} bytes, ${gzipSync(code).length} gzipped`);
});

it("the parser of users' fields is loaded only with one", async () => {
  const { first, later } = await bundle("index.ts");
  const isParser = (file: string) => file.includes("wgsl_reflect");
  expect([first.some(isParser), later.some(isParser)]).toEqual([false, true]);
});

it("the check sees Node's modules where there are some", async () => {
  expect((await bundle("gpu/node_adapter.ts")).node).toContain("node:fs");
});
