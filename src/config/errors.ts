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
