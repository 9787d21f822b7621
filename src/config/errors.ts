/** The user's mistake: names the field, the rule it breaks and the value given. The command line exits with 2. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  constructor(
    readonly field: string,
    readonly rule: string,
    readonly value?: unknown,
  ) {
    super(value === undefined ? `${field}: ${rule}` : `${field} ${rule}, got ${show(value)}`);
  }
}

/** A place in a text: line and column from 1, and how many characters it takes. */
export interface SourcePlace {
  readonly line: number;
  readonly column: number;
  readonly length: number;
}

/** A text of the user's cannot be used: where, which rule, the line itself with a caret. The command line exits with 2. */
export class SourceError extends Error {
  override readonly name: string = "SourceError";
  constructor(
    /** Name of the text, or of its file. */
    readonly field: string,
    readonly rule: string,
    source = "",
    readonly place?: SourcePlace,
  ) {
    super(
      place === undefined
        ? `${field}: ${rule}`
        : `${field}:${place.line}:${place.column}: ${rule}\n${excerpt(source, place)}`,
    );
  }
}

/** The user's shader text, the field of an ODE, cannot be used. */
export class FieldError extends SourceError {
  override readonly name = "FieldError";
}

function excerpt(source: string, { line, column, length }: SourcePlace): string {
  const number = `${line}`.padStart(5);
  // One column a character: a tab would move the caret.
  const text = (source.split("\n")[line - 1] ?? "").replaceAll(/[\t\r]/g, " ");
  const carets = "^".repeat(Math.max(1, Math.min(length, text.length - column + 1)));
  return `${number} | ${text.trimEnd()}\n${" ".repeat(number.length)} | ${" ".repeat(column - 1)}${carets}`;
}

/** Data on disk that cannot be used: missing, malformed, truncated or foreign. The command line exits with 1. */
export class DataError extends Error {
  override readonly name = "DataError";
  constructor(
    readonly path: string,
    readonly reason: string,
  ) {
    super(`${path}: ${reason}`);
  }
}

/** Short printable form of a value for an error message. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number" || typeof value === "boolean" || value === null || value === undefined)
    return String(value);
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
