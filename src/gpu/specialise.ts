/**
 * Shader text with knobs → shader text for one variant.
 *
 * A `.wgsl` file is plain WGSL with default values; a variant sets its `const NAME = value;` lines by name.
 * Loops marked `//@unroll` on the line before are then written out: neither Tint nor the software adapter unrolls, and
 * there an array indexed by a loop variable costs a gather of four lanes per access (39 ns against 2 ns for a
 * multiply-add, SwiftShader 5.0, 2026-11), while constant indices become registers. `//@unroll up to N` leaves a loop of more
 * trips as it is, and those inside whose bounds then are not constant.
 */

export type Constants = Readonly<Record<string, number | boolean | readonly number[]>>;

/** WGSL text whose functions and structs take the place of those of a shader named in `replaces`; what else it declares is added. */
export interface ShaderPart {
  readonly source: string;
  readonly replaces: readonly string[];
}

const CONST_LINE = /^([ \t]*const[ \t]+([A-Za-z_]\w*)[ \t]*(?::[ \t]*\w+[ \t]*)?=[ \t]*)([^;]+);/gm;

/**
 * Sets `const` declarations by name and writes out the marked loops. `part` comes last and as it is.
 * @throws Error when a name in `constants` is not declared by the shader, or a marked loop has bounds that are not
 * integer expressions of constants.
 */
export function specialise(source: string, constants: Constants, part?: ShaderPart): string {
  const unknown = new Set(Object.keys(constants));
  const values = new Map<string, number>();
  const expressions = new Map<string, string>();
  const text = source.replace(CONST_LINE, (line, head: string, name: string, value: string) => {
    if (name in constants) {
      unknown.delete(name);
      const literal = literalLike(value.trim(), constants[name]!);
      expressions.set(name, literal);
      return `${head}${literal};`;
    }
    expressions.set(name, value);
    return line;
  });
  if (unknown.size > 0) throw new Error(`shader declares no constant named ${[...unknown].join(", ")}`);
  evaluateAll(expressions, values);
  const unrolled = unroll(text, values);
  return part ? `${withoutReplaced(unrolled, part)}\n${part.source}` : unrolled;
}

/** The shader without those functions and structs named in `part.replaces` that the part declares. */
function withoutReplaced(text: string, { source, replaces }: ShaderPart): string {
  const code = source.replace(/\/\/[^\n]*/g, "");
  let rest = text;
  for (const name of replaces) {
    const declaration = new RegExp(`\\b(?:fn\\s+${name}\\s*\\(|struct\\s+${name}\\s*\\{)`);
    const match = declaration.exec(rest);
    if (!match || !declaration.test(code)) continue;
    const body = rest.indexOf("{", match.index);
    rest = rest.slice(0, match.index) + rest.slice(closingBrace(rest, body + 1) + 1);
  }
  return rest;
}

/** Values of constants by their expressions; those that linked modules brought may come in any order. */
function evaluateAll(expressions: ReadonlyMap<string, string>, values: Map<string, number>): void {
  let known: number;
  do {
    known = values.size;
    for (const [name, expression] of expressions) {
      const value = values.has(name) ? undefined : evaluate(expression, values);
      if (value !== undefined) values.set(name, value);
    }
  } while (values.size > known);
}

/** The new value written with the type suffix of the old one: 4u stays unsigned, 1.0 stays a float; arrays take any length. */
function literalLike(old: string, value: number | boolean | readonly number[]): string {
  if (typeof value === "boolean") return String(value);
  if (typeof value !== "number") {
    const type = /^array<\s*(\w+)\s*,/.exec(old)?.[1];
    if (type === undefined) throw new Error(`a list cannot take the place of ${old}`);
    return `array<${type}, ${value.length}>(${value.join(", ")})`;
  }
  if (/^(0x[0-9a-fA-F]+|\d+)u$/.test(old)) return `${value}u`;
  if (/[.ef]/.test(old) && Number.isInteger(value)) return `${value}.0`;
  return String(value);
}

const UNROLL_MARK =
  /\/\/@unroll(?: up to (\d+))?[^\n]*\n\s*for\s*\(\s*var\s+(\w+)\s*=\s*([^;]+);\s*\2\s*<\s*([^;]+);\s*\2(?:\+\+|\s*\+=\s*1u)\s*\)\s*\{/;

function unroll(text: string, values: ReadonlyMap<string, number>): string {
  let out = "";
  let rest = text;
  for (;;) {
    const match = UNROLL_MARK.exec(rest);
    if (!match) {
      if (rest.includes("//@unroll")) throw new Error("an @unroll mark must precede `for (var i = a; i < b; i++) {`");
      return out + rest;
    }
    const [head, most, variable, from, to] = match as unknown as [string, string | undefined, string, string, string];
    const first = evaluate(from, values);
    const end = evaluate(to, values);
    const known = first !== undefined && end !== undefined;
    if (!known && most === undefined)
      throw new Error(`@unroll needs constant bounds, got ${from.trim()} .. ${to.trim()}`);
    const bodyStart = match.index + head.length;
    if (!known || (most !== undefined && end - first > Number(most))) {
      const loop = match.index + head.indexOf("\n");
      out += rest.slice(0, match.index) + rest.slice(loop, bodyStart);
      rest = rest.slice(bodyStart);
      continue;
    }
    const bodyEnd = closingBrace(rest, bodyStart);
    const body = rest.slice(bodyStart, bodyEnd);
    out += rest.slice(0, match.index);
    const name = new RegExp(`(?<![\\w.])${variable}(?!\\w)`, "g");
    for (let i = first; i < end; i++) {
      const inner = new Map(values).set(variable, i);
      out += `{${unroll(body, inner).replace(name, `${i}u`)}}\n`;
    }
    rest = rest.slice(bodyEnd + 1);
  }
}

function closingBrace(text: string, from: number): number {
  let depth = 1;
  for (let i = from; i < text.length; i++) {
    if (text.startsWith("//", i)) {
      i = text.indexOf("\n", i);
      if (i < 0) break;
    } else if (text[i] === "{") depth++;
    else if (text[i] === "}" && --depth === 0) return i;
  }
  throw new Error("@unroll loop without closing brace");
}

/** Integer expression of literals and known names with + - * / % and parentheses; undefined when it is anything else. */
function evaluate(expression: string, values: ReadonlyMap<string, number>): number | undefined {
  const tokens = expression.match(/0x[0-9a-fA-F]+u?|\d+u?(?![\w.])|[A-Za-z_]\w*|[-+*/%()]|\S/g) ?? [];
  let at = 0;
  const primary = (): number => {
    const token = tokens[at++];
    if (token === "(") {
      const value = sum();
      if (tokens[at++] !== ")") throw new RangeError();
      return value;
    }
    if (token !== undefined && /^(0x[0-9a-fA-F]+|\d+)u?$/.test(token)) return Number(token.replace(/u$/, ""));
    const known = token === undefined ? undefined : values.get(token);
    if (known === undefined) throw new RangeError();
    return known;
  };
  const product = (): number => {
    let value = primary();
    while (tokens[at] === "*" || tokens[at] === "/" || tokens[at] === "%") {
      const operator = tokens[at++];
      const right = primary();
      value = operator === "*" ? value * right : operator === "/" ? Math.trunc(value / right) : value % right;
    }
    return value;
  };
  const sum = (): number => {
    let value = product();
    while (tokens[at] === "+" || tokens[at] === "-")
      value = tokens[at++] === "+" ? value + product() : value - product();
    return value;
  };
  try {
    const value = sum();
    return at === tokens.length ? value : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
