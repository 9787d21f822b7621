// src/index.ts → dist/deeplimit.min.js: the library as one module for <script type="module">; beside it dist/deeplimit-fields.min.js, the
// WGSL parser that checks a user's vector field and is loaded only with one.
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

const PARSER = "wgsl_reflect/wgsl_reflect.module.js";
const FIELDS = "deeplimit-fields.min.js";
const root = fileURLToPath(new URL("..", import.meta.url));
const LIBRARY = `${root}src/index.ts`;

/** The one name that src/ode/field_source.ts takes from the parser. */
const parserEntry = {
  name: "parser-entry",
  resolveId: (id) => (id === FIELDS ? FIELDS : undefined),
  load: (id) => (id === FIELDS ? `export { WgslParser } from "${PARSER}";` : undefined),
};

/** @returns code by file name; nothing is written without `dir` */
export async function bundleLibrary(dir) {
  const code = {};
  for (const [input, file, external] of [
    [LIBRARY, "deeplimit.min.js", [PARSER]],
    [FIELDS, FIELDS, []],
  ]) {
    const build = await rolldown({
      input,
      platform: "browser",
      external,
      cwd: root,
      plugins: [parserEntry],
      logLevel: "silent",
    });
    const options = {
      format: "esm",
      minify: true,
      codeSplitting: false,
      paths: { [PARSER]: `./${FIELDS}` },
      file: dir === undefined ? file : `${dir}/${file}`,
    };
    const { output } = await (dir === undefined ? build.generate(options) : build.write(options));
    await build.close();
    code[file] = output[0].code;
  }
  return code;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [file, code] of Object.entries(await bundleLibrary(`${root}dist`)))
    console.log(`dist/${file}: ${code.length} bytes, ${gzipSync(code, { level: 9 }).length} gzipped`);
}
