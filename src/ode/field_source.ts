/**
 * A user's right-hand side in WGSL, looked at before it becomes part of a kernel: what it may declare, its functions, and
 * what the device's compiler says, each error at its place in the user's own text.
 *
 * The text declares `fn vector_field(t: f32, y: State, p: Params) -> State` with `State = array<f32, DIM>` and
 * `Params = array<f32, PARAMETERS>` (one number where there are no parameters), and optionally
 * `event_value`, `vector_field_vjp` and `jacobian` as in FUNCTIONS below. Helper functions, constants, structs and aliases
 * may stand beside them. So that an editor understands the file on its own, it may declare DIM, PARAMETERS, State, Params
 * and Pullback itself; they must say what the problem says.
 */
import type { Type } from "wgsl_reflect/types/index.js";
import { FieldError, type SourcePlace } from "../config/errors.ts";
import type { UserField } from "../config/ode.ts";
import { shaderFacts, shadersOf } from "../gpu/catalog.ts";
import type { Gpu } from "../gpu/device.ts";
import { compileErrors } from "../gpu/diagnostics.ts";
import { type Constants, type ShaderPart, specialise } from "../gpu/specialise.ts";

export type FieldFunction = keyof typeof FUNCTIONS;

type TypeName = "f32" | "State" | "Params" | "Pullback" | "array<State, DIM>";

/** Functions that a field may bring; the first is required. */
const FUNCTIONS = {
  vector_field: { takes: ["f32", "State", "Params"], gives: "State", text: "(t: f32, y: State, p: Params) -> State" },
  event_value: { takes: ["f32", "State", "Params"], gives: "f32", text: "(t: f32, y: State, p: Params) -> f32" },
  vector_field_vjp: {
    takes: ["f32", "State", "Params", "State"],
    gives: "Pullback",
    text: "(t: f32, y: State, p: Params, w: State) -> Pullback",
  },
  jacobian: {
    takes: ["f32", "State", "Params"],
    gives: "array<State, DIM>",
    text: "(t: f32, y: State, p: Params) -> array<State, DIM>",
  },
} as const satisfies Record<string, { takes: readonly TypeName[]; gives: TypeName; text: string }>;
const FUNCTION_NAMES = Object.keys(FUNCTIONS) as FieldFunction[];

/** Names that the kernels give to a field. */
const PROVIDED = ["DIM", "PARAMETERS", "State", "Params", "Pullback"];

const FORBIDDEN: readonly (readonly [pattern: RegExp, rule: string])[] = [
  [/@(?:group|binding)\b/, "must not declare bindings: a field depends on t, y and p alone"],
  [/@(?:compute|vertex|fragment|workgroup_size)\b/, "must not declare entry points"],
  [/\boverride\b/, "must not declare overrides: use const"],
  [/^[ \t]*(?:enable|requires|diagnostic)\b/m, "must not have directives: it becomes part of a kernel"],
  [/\bvar\s*<\s*(?!function\b)/, "must not declare variables that outlive a call"],
  [
    /\b(?:workgroupBarrier|storageBarrier|textureBarrier|workgroupUniformLoad|(?:subgroup|quad)[A-Z]\w*)\s*\(/,
    "must not call functions that take several trajectories together",
  ],
];

/** What a field brings, from its text alone. */
export interface FieldText {
  /** Without declarations of PROVIDED; every character that stays has its place. */
  readonly source: string;
  readonly functions: readonly FieldFunction[];
}

/** As `parameters` and `components` of the comment lines at the head of a file have it. */
export interface FieldHeader {
  readonly parameters?: readonly { readonly name: string; readonly value?: number }[];
  readonly components?: readonly string[];
}

/**
 * Checks a field in full.
 * @returns the field as the kernels take it
 * @throws FieldError with the first error of the text
 */
export async function checkField(gpu: Gpu, field: UserField): Promise<UserField & FieldText> {
  const text = await readField(field);
  await compileField(gpu, field, text);
  return { ...field, ...text };
}

/**
 * The checks that need no device: what the text declares, and the forms of its functions.
 * @throws FieldError
 */
export async function readField(field: UserField): Promise<FieldText> {
  const code = withoutComments(field.source);
  for (const [pattern, rule] of FORBIDDEN) {
    const match = pattern.exec(code);
    if (match) throw new FieldError(field.name, rule, field.source, placeOf(field.source, match));
  }
  const outline = withoutBodies(code);
  const declared = declarations(outline);
  const functions = FUNCTION_NAMES.filter((name) => declared.some((d) => d.kind === "fn" && d.name === name));
  if (!functions.includes("vector_field"))
    throw new FieldError(field.name, `must declare fn vector_field${FUNCTIONS.vector_field.text}`);

  const reserved = await kernelNames();
  for (const { name, start } of declared)
    if (reserved.used.has(name) && !PROVIDED.includes(name) && !(FUNCTION_NAMES as string[]).includes(name))
      throw new FieldError(
        field.name,
        `must not declare ${name}: the kernels use that name`,
        field.source,
        placeAt(field.source, start, name.length),
      );
  for (const { name, start } of identifiers(code))
    if (reserved.declared.has(name) && !isLocal(code, name))
      throw new FieldError(
        field.name,
        `must not use ${name}, which belongs to the kernels: a field depends on t, y and p alone`,
        field.source,
        placeAt(field.source, start, name.length),
      );

  refuseParameters(field, code, outline, declared);
  await checkForms(field, outline, declared);
  let source = field.source;
  for (const { name, start, end } of declared)
    if (PROVIDED.includes(name)) source = blank(source, keyword(code, start), end);
  return { source, functions };
}

/**
 * Compiles a field into the smallest kernel that calls its functions.
 * @throws FieldError with the compiler's first message, at its place in the user's text
 */
export async function compileField(gpu: Gpu, field: UserField, { source, functions }: FieldText): Promise<void> {
  const [constants, part] = evaluation(field, { source, functions });
  const code = specialise((await shaderFacts("ode/evaluate")).source, constants, part);
  const before = code.split("\n").length - source.split("\n").length;
  const [error, ...others] = await compileErrors(gpu, field.name, code);
  if (!error) return;
  const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
  const line = error.line - before;
  if (line >= 1) {
    const place = { line, column: error.column, length: error.length };
    throw new FieldError(field.name, `${error.message}${more}`, field.source, place);
  }
  // The kernel's own text compiles with every built-in field: a call does not fit what the user declared.
  const called = functions.find((name) => error.message.includes(`'${name}'`)) ?? "vector_field";
  const at = declarations(withoutBodies(withoutComments(source))).find(({ name }) => name === called);
  throw new FieldError(
    field.name,
    `${called} must be fn ${called}${FUNCTIONS[called].text}: ${error.message}${more}`,
    field.source,
    at && placeAt(field.source, at.start, called.length),
  );
}

/** Constants and text that put a field into `ode/evaluate`. */
export function evaluation(
  { dimension, parameters }: Pick<UserField, "dimension" | "parameters">,
  { source, functions }: FieldText,
): [Constants, ShaderPart] {
  const count = typeof parameters === "number" ? parameters : parameters.length;
  return [
    {
      DIM: dimension,
      PARAMETERS: Math.max(1, count),
      ODE_VJP: functions.includes("vector_field_vjp"),
      ODE_JACOBIAN: functions.includes("jacobian"),
    },
    { source, replaces: FUNCTION_NAMES },
  ];
}

/**
 * Reads the comment lines at the head of a file: `// parameters: sigma = 10, rho = 28` and `// components: x, y, z`.
 * @throws FieldError for a line of that form that cannot be read
 */
export function fieldHeader(source: string, name: string): FieldHeader {
  const header: { parameters?: { name: string; value?: number }[]; components?: string[] } = {};
  for (const [i, line] of source.split(/\r?\n/).entries()) {
    if (line.trim() === "") continue;
    if (!/^\s*\/\//.test(line)) break;
    const [, key, list] = /^\s*\/\/\s*(parameters|components)\s*:(.*)$/.exec(line) ?? [];
    if (key === undefined) continue;
    const items = list!.split(",").map((item) => item.trim());
    const fail = (rule: string) =>
      new FieldError(name, rule, source, { line: i + 1, column: 1, length: line.trimEnd().length });
    const read = items.map((item) => {
      const [, itemName, value] = /^([\p{L}_][\p{L}\p{N}_]*)(?:\s*=\s*(\S+))?$/u.exec(item) ?? [];
      if (itemName === undefined || (value !== undefined && !Number.isFinite(Number(value))))
        throw fail(`${key} must be names, or names with a number as in a = 1, separated by commas`);
      return { name: itemName, ...(value !== undefined && { value: Number(value) }) };
    });
    if (key === "parameters") header.parameters = read;
    else if (read.some(({ value }) => value !== undefined)) throw fail("components must be names without numbers");
    else header.components = read.map((item) => item.name);
  }
  return header;
}

/** Declarations at module scope, by the text without function bodies. */
interface Declaration {
  readonly kind: string;
  readonly name: string;
  /** Of the name, and after the declaration. */
  readonly start: number;
  readonly end: number;
}

function declarations(outline: string): Declaration[] {
  const found: Declaration[] = [];
  for (const match of outline.matchAll(/\b(fn|const|struct|alias|var)(?:\s*<[^>]*>)?\s+([\p{XIDS}_]\p{XIDC}*)/gu)) {
    const [text, kind, name] = match as unknown as [string, string, string];
    const close = kind === "fn" || kind === "struct" ? "}" : ";";
    let end = outline.indexOf(close, match.index);
    end = end < 0 ? outline.length : end + 1;
    if (kind === "struct" && outline[end] === ";") end++;
    found.push({ kind, name, start: match.index + text.length - name.length, end });
  }
  return found;
}

/** Where the keyword before a declared name begins. */
function keyword(code: string, start: number): number {
  return Math.max(...["const", "struct", "alias"].map((word) => code.lastIndexOf(word, start)));
}

/** Comments become spaces; block comments nest. */
function withoutComments(source: string): string {
  let out = "";
  for (let i = 0; i < source.length; ) {
    let end = i + 1;
    if (source.startsWith("//", i)) {
      end = source.indexOf("\n", i);
      if (end < 0) end = source.length;
    } else if (source.startsWith("/*", i)) {
      let depth = 0;
      for (end = i; end < source.length; ) {
        if (source.startsWith("/*", end)) depth++;
        else if (source.startsWith("*/", end)) depth--;
        else {
          end++;
          continue;
        }
        end += 2;
        if (depth === 0) break;
      }
    } else {
      out += source[i];
      i = end;
      continue;
    }
    out += spaces(source.slice(i, end));
    i = end;
  }
  return out;
}

/** Bodies of functions become spaces between braces. */
function withoutBodies(code: string): string {
  const functions = /\bfn\b/g;
  let out = "";
  let at = 0;
  for (;;) {
    functions.lastIndex = at;
    const match = functions.exec(code);
    const open = match ? code.indexOf("{", match.index) : -1;
    if (open < 0) return out + code.slice(at);
    let depth = 0;
    let end = open;
    for (; end < code.length; end++) {
      if (code[end] === "{") depth++;
      else if (code[end] === "}" && --depth === 0) break;
    }
    out += code.slice(at, open + 1) + spaces(code.slice(open + 1, end));
    at = end;
  }
}

function spaces(text: string): string {
  return text.replace(/[^\n]/g, " ");
}

function blank(text: string, start: number, end: number): string {
  return text.slice(0, start) + spaces(text.slice(start, end)) + text.slice(end);
}

/** Names that are not members. */
function* identifiers(code: string): Generator<{ name: string; start: number }> {
  for (const { 0: name, index } of code.matchAll(/(?<![\p{XIDC}.@])[\p{XIDS}_]\p{XIDC}*/gu))
    yield { name, start: index };
}

/** The text declares the name itself: a variable, an argument, a member or at module scope. */
function isLocal(code: string, name: string): boolean {
  return new RegExp(
    `\\b(?:let|const|fn|struct|alias|var(?:\\s*<[^>]*>)?)\\s+${name}(?!\\p{XIDC})|(?<!\\p{XIDC})${name}\\s*:`,
    "u",
  ).test(code);
}

interface KernelNames {
  /** Declared at module scope by a kernel that takes a field. */
  readonly declared: ReadonlySet<string>;
  /** Those, and every other name such a kernel takes from outside its functions: built-in functions and types. */
  readonly used: ReadonlySet<string>;
}

let names: KernelNames | undefined;

async function kernelNames(): Promise<KernelNames> {
  if (names) return names;
  const declared = new Set<string>();
  const used = new Set<string>();
  for (const { source } of Object.values(await shadersOf("ode"))) {
    if (!/\bfn vector_field\(/.test(source)) continue;
    const code = withoutComments(source);
    for (const { name } of declarations(withoutBodies(code))) declared.add(name);
    const own = new Set<string>();
    for (const { name } of identifiers(code)) own.add(name);
    for (const name of own) if (declared.has(name) || !isLocal(code, name)) used.add(name);
  }
  for (const name of [...PROVIDED, ...FUNCTION_NAMES]) declared.delete(name);
  names = { declared, used };
  return names;
}

/** `Params` has one number even where there are none: the compiler would let it be read. */
function refuseParameters(field: UserField, code: string, outline: string, declared: readonly Declaration[]): void {
  if (typeof field.parameters === "number" ? field.parameters > 0 : field.parameters.length > 0) return;
  for (const { kind, start, end } of declared) {
    if (kind !== "fn") continue;
    const open = outline.indexOf("{", start);
    for (const [, name] of outline.slice(start, open).matchAll(/([\p{XIDS}_]\p{XIDC}*)\s*:\s*Params\b/gu)) {
      const match = new RegExp(`(?<![\\p{XIDC}.])${name}\\s*\\[`, "u").exec(code.slice(open, end));
      if (match)
        throw new FieldError(
          field.name,
          `must not read ${name}: there are no parameters`,
          field.source,
          placeAt(field.source, open + match.index, name!.length),
        );
    }
  }
}

/**
 * Forms of the field's functions and of what it declares of PROVIDED. Text that wgsl_reflect cannot parse is left to the
 * compiler.
 */
async function checkForms(field: UserField, outline: string, declared: readonly Declaration[]): Promise<void> {
  const { name, dimension, parameters, source } = field;
  const count = typeof parameters === "number" ? parameters : parameters.length;
  const own = (word: string) => declared.some((declaration) => declaration.name === word);
  const given = [
    ["DIM", `const DIM = ${dimension}u;`],
    ["PARAMETERS", `const PARAMETERS = ${Math.max(1, count)}u;`],
    ["State", "alias State = array<f32, DIM>;"],
    ["Params", "alias Params = array<f32, PARAMETERS>;"],
    ["Pullback", "struct Pullback { y: State, p: Params, t: f32 }"],
  ] as const;
  const head = given.map(([word, text]) => (own(word) ? "" : text)).join(" ");
  const { WgslParser } = await import("wgsl_reflect/wgsl_reflect.module.js");
  let nodes: ReturnType<InstanceType<typeof WgslParser>["parse"]>;
  try {
    nodes = new WgslParser().parse(`${head} ${outline}`);
  } catch {
    return;
  }
  const place = (word: string): SourcePlace => {
    const { start } = declared.find((declaration) => declaration.name === word)!;
    return placeAt(source, start, word.length);
  };
  const sizes = { State: dimension, Params: Math.max(1, count) };
  const is = (type: Type | null, wanted: TypeName): boolean => {
    if (type === null) return false;
    if (wanted === "f32" || wanted === "Pullback") return type.name === wanted;
    const { name: kind, format, count: length } = type as Type & { format?: Type | null; count?: number };
    if (kind !== "array") return type.name === wanted;
    return wanted === "array<State, DIM>"
      ? length === dimension && is(format ?? null, "State")
      : length === sizes[wanted] && format?.name === "f32";
  };
  for (const node of nodes) {
    const word = (node as { name?: string }).name ?? "";
    if (node.astNodeType === "alias" && (word === "State" || word === "Params") && own(word)) {
      if (is((node as unknown as { type: Type }).type, word)) continue;
      const what = word === "State" ? "components of a state" : "parameters";
      throw new FieldError(
        name,
        `${word} must be array<f32, ${sizes[word]}>: there are ${sizes[word]} ${what}`,
        source,
        place(word),
      );
    }
    if (node.astNodeType === "const" && (word === "DIM" || word === "PARAMETERS") && own(word)) {
      const wanted = word === "DIM" ? dimension : Math.max(1, count);
      const { start, end } = declared.find((declaration) => declaration.name === word)!;
      if (new RegExp(`=\\s*${wanted}[iu]?\\s*;$`).test(outline.slice(start, end))) continue;
      throw new FieldError(name, `${word} must be ${wanted}, as the problem has it`, source, place(word));
    }
    if (node.astNodeType === "struct" && word === "Pullback" && own(word)) {
      const { members } = node as unknown as { members: readonly { name: string; type: Type | null }[] };
      const form = [
        ["y", "State"],
        ["p", "Params"],
        ["t", "f32"],
      ] as const;
      if (
        members.length === 3 &&
        form.every(([member, type], i) => members[i]!.name === member && is(members[i]!.type, type))
      )
        continue;
      throw new FieldError(
        name,
        "Pullback must be struct Pullback { y: State, p: Params, t: f32 }",
        source,
        place(word),
      );
    }
    if (node.astNodeType !== "function" || !(FUNCTION_NAMES as string[]).includes(word)) continue;
    const { takes, gives, text } = FUNCTIONS[word as FieldFunction];
    const { args, returnType } = node as unknown as { args: readonly { type: Type }[]; returnType: Type | null };
    const fits =
      args.length === takes.length && takes.every((type, i) => is(args[i]!.type, type)) && is(returnType, gives);
    if (!fits) throw new FieldError(name, `${word} must be fn ${word}${text}`, source, place(word));
  }
}

function placeOf(source: string, { index, 0: text }: RegExpExecArray): SourcePlace {
  const indent = text.length - text.trimStart().length;
  return placeAt(source, index + indent, text.trim().length);
}

function placeAt(source: string, offset: number, length: number): SourcePlace {
  const before = source.slice(0, offset).split("\n");
  return { line: before.length, column: before.at(-1)!.length + 1, length };
}
