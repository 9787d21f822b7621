// shaders/**/*.wgsl → src/gpu/shaders.generated.ts: imports linked by WESL, bindings and uniform layouts read by
// wgsl_reflect. Node, vitest and every bundler then read the same text, and no parser runs where the library runs.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
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
  shaders[key] = { source, entryPoint: entry[0].name, bindings, params, paramsBytes: uniform?.size ?? 0, subgroups };
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

async function parse(name, key) {
  try {
    const { dest: source } = await link({ weslSrc: withMethod(key), rootModuleName: key, debugWeslRoot: "shaders" });
    return { source, reflected: new WgslReflect(declarations(source)) };
  } catch (error) {
    console.error(`shaders/${name}: ${error.message}`);
    process.exit(1);
  }
}

writeFileSync(
  join(root, "src/gpu/shaders.generated.ts"),
  `// Generated from shaders/ by scripts/generate-shaders.mjs; not committed.\nexport const SHADERS = ${JSON.stringify(shaders, null, 1)} as const;\n`,
);
console.log(`${Object.keys(shaders).length} shaders → ${relative(root, join(root, "src/gpu/shaders.generated.ts"))}`);
