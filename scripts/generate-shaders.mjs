// shaders/**/*.wgsl → src/gpu/generated/FAMILY.ts: imports linked by WESL, bindings and uniform layouts read by
// wgsl_reflect. Node, vitest and every bundler then read the same text, and no parser runs where the library runs.
// A page pays for what it loads: comments and indentation stay behind, what kernels of a family share is written once, and
// every family is a module that `catalog.ts` imports when one of its kernels is first asked for.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { link } from "wesl/core";
import { WgslReflect } from "wgsl_reflect/wgsl_reflect.module.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const shaderRoot = join(root, "shaders");
const files = readdirSync(shaderRoot, { recursive: true })
  .filter((name) => name.endsWith(".wgsl"))
  .map((name) => name.split(sep).join("/"))
  .sort();
const weslSrc = Object.fromEntries(files.map((name) => [name, readFileSync(join(shaderRoot, name), "utf8")]));

const LIBRARY = "common/"; // imported only, never an entry point
const PORTABLE = "@if(subgroups) enable subgroups;"; // of a kernel that has another text for adapters without them
const shaders = {};
for (const name of files.filter((file) => !file.startsWith(LIBRARY))) {
  const key = name.replace(/\.wgsl$/, "");
  const { source, reflected } = await parse(name, key);
  const entry = reflected.entry.compute;
  if (entry.length !== 1) throw new Error(`${name}: exactly one compute entry point, found ${entry.length}`);
  const bindings = reflected
    .getBindGroups()
    .flat()
    .filter(Boolean)
    .map(({ name: binding, group, binding: index, resourceType, access }) => {
      if (group !== 0) throw new Error(`${name}: ${binding} must be in @group(0)`);
      return {
        name: binding,
        index,
        access: resourceType === 0 ? "uniform" : access === "read" ? "read" : "read_write",
      };
    });
  const uniform = reflected.uniforms[0];
  const params = (uniform?.members ?? []).map((member) => {
    const type = member.type.name;
    if (!["u32", "i32", "f32"].includes(type))
      throw new Error(`${name}: params.${member.name} must be u32, i32 or f32`);
    return { name: member.name, offset: member.offset, type };
  });
  const subgroups = /^\s*enable[^;]*\bsubgroups\b/m.test(source);
  shaders[key] = {
    source: withoutComments(source),
    entryPoint: entry[0].name,
    bindings,
    params,
    paramsBytes: uniform?.size ?? 0,
    // Needs them: has no text for adapters without.
    subgroups: subgroups && !weslSrc[name].includes(PORTABLE),
    ...(weslSrc[name].includes(PORTABLE) && { withoutSubgroups: withoutComments(await linked(key, false)) }),
  };
}

/** The text without function bodies and `enable` lines: layouts need no more, and wgsl_reflect 1.6 stumbles over shifts in arguments. */
function declarations(source) {
  let out = "";
  let depth = 0;
  let inBody = false;
  const text = source.replace(/\/\/[^\n]*/g, "").replace(/^\s*enable [^;]*;/gm, "");
  const functions = /\bfn\s+\w+/g;
  let nextFunction = functions.exec(text)?.index ?? Infinity;
  for (let i = 0; i < text.length; i++) {
    if (!inBody && i > nextFunction && text[i] === "{") {
      inBody = true;
      out += "{";
      depth = 1;
      continue;
    }
    if (inBody) {
      if (text[i] === "{") depth++;
      else if (text[i] === "}" && --depth === 0) {
        inBody = false;
        out += "}";
        functions.lastIndex = i;
        nextFunction = functions.exec(text)?.index ?? Infinity;
      }
      continue;
    }
    out += text[i];
  }
  return out;
}

/** For the kernel FAMILY/NAME, the module common/FAMILY_method is common/FAMILY_NAME where there is one: one driver, many methods. */
function withMethod(key) {
  const [family, name] = key.split("/");
  const method = weslSrc[`${LIBRARY}${family}_${name}.wgsl`];
  return method === undefined ? weslSrc : { ...weslSrc, [`${LIBRARY}${family}_method.wgsl`]: method };
}

async function linked(key, subgroups) {
  const conditions = { subgroups };
  return (await link({ weslSrc: withMethod(key), rootModuleName: key, debugWeslRoot: "shaders", conditions })).dest;
}

async function parse(name, key) {
  try {
    const source = await linked(key, true);
    return { source, reflected: new WgslReflect(declarations(source)) };
  } catch (error) {
    console.error(`shaders/${name}: ${error.message}`);
    process.exit(1);
  }
}

/** Lines without comments and indentation; marks (`//@unroll`) stay. */
function withoutComments(source) {
  return source
    .split("\n")
    .map((line) => (/^\s*\/\/@/.test(line) ? line : line.replace(/\/\/.*$/, "")).trim())
    .filter((line) => line !== "")
    .join("\n");
}

/** The declarations of a module, each with its line end: functions, structs, constants, bindings. */
function topLevel(source) {
  const parts = [];
  let part = "";
  let depth = 0;
  for (const line of source.split("\n")) {
    part += `${line}\n`;
    for (const character of line) depth += character === "{" ? 1 : character === "}" ? -1 : 0;
    if (depth > 0 || !/[;}]$/.test(line)) continue;
    parts.push(part);
    part = "";
  }
  return part === "" ? parts : [...parts, part];
}

/** The module of a family: its declarations once, in the order they are first met, and which of them make each kernel. */
function familyModule(entries) {
  const pieces = new Map();
  const joined = (source) => {
    const numbers = topLevel(source).map((piece) => {
      if (!pieces.has(piece)) pieces.set(piece, pieces.size);
      return pieces.get(piece);
    });
    return `join(${JSON.stringify(numbers)})`;
  };
  const kernels = entries.map(([key, { source, withoutSubgroups, ...facts }]) => {
    const other = withoutSubgroups === undefined ? "" : ` withoutSubgroups: ${joined(withoutSubgroups)},`;
    return `  ${JSON.stringify(key)}: { source: ${joined(source)},${other} ...${JSON.stringify(facts)} },`;
  });
  return `// Generated from shaders/ by scripts/generate-shaders.mjs; not committed.
import type { ShaderFacts } from "../catalog.ts";
const PIECES: readonly string[] = ${JSON.stringify([...pieces.keys()], null, 1)};
const join = (numbers: readonly number[]): string => numbers.map((i) => PIECES[i]).join("");
export const SHADERS: Readonly<Record<string, ShaderFacts>> = {
${kernels.join("\n")}
};
`;
}

const out = join(root, "src/gpu/generated");
mkdirSync(out, { recursive: true });
const families = [...new Set(Object.keys(shaders).map((key) => key.split("/")[0]))];
const written = { "families.ts": familiesModule() };
for (const family of families)
  written[`${family}.ts`] = familyModule(Object.entries(shaders).filter(([key]) => key.startsWith(`${family}/`)));
for (const stale of readdirSync(out).filter((name) => !(name in written))) rmSync(join(out, stale));
for (const [name, text] of Object.entries(written)) writeFileSync(join(out, name), text);
console.log(`${Object.keys(shaders).length} shaders in ${families.length} families → ${relative(root, out)}`);

function familiesModule() {
  return `// Generated from shaders/ by scripts/generate-shaders.mjs; not committed.
import type { ShaderFacts } from "../catalog.ts";
export const FAMILIES: Readonly<Record<string, () => Promise<{ SHADERS: Readonly<Record<string, ShaderFacts>> }>>> = {
${families.map((family) => `  ${family}: () => import("./${family}.ts"),`).join("\n")}
};
`;
}
