import { ConfigError } from "../config/errors.ts";

/** @throws ConfigError naming the field when the array has not the length its shape asks for */
export function expectLength(field: string, array: ArrayLike<number>, length: number): void {
  if (array.length !== length) throw new ConfigError(field, `must hold ${length} numbers`, array.length);
}
