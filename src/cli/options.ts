import { InvalidArgumentError } from "commander";
import { suggestion } from "./nearest.ts";

/** Parser of an option's value that is a word of a list; a near one is suggested. */
export function oneOf(choices: readonly string[]): (value: string) => string {
  return (value) => {
    if (choices.includes(value)) return value;
    throw new InvalidArgumentError(`It must be one of ${choices.join(", ")}${suggestion(value, choices) || "."}`);
  };
}
