/** What a figure draws, between the table's rows and the specification. */

/** One thing to draw, under names that no column name can break. Discrete channels already hold their labels. */
export interface Mark {
  readonly x: number | string;
  readonly y: number | string;
  readonly color?: number | string;
  readonly dash?: string;
  readonly column?: string;
  readonly row?: string;
  readonly lower?: number;
  readonly upper?: number;
  /** Of a mark that is no data point, the layer that draws it. */
  readonly role?: string;
  readonly label?: string;
}

export function groupMarks(marks: readonly Mark[], keys: readonly ("color" | "dash" | "column" | "row")[]): Mark[][] {
  const groups = new Map<string, Mark[]>();
  for (const mark of marks) {
    const key = JSON.stringify(keys.map((name) => mark[name]));
    const held = groups.get(key);
    if (held === undefined) groups.set(key, [mark]);
    else held.push(mark);
  }
  return [...groups.values()];
}

export function numbers(marks: readonly Mark[], keys: readonly ("x" | "y" | "lower" | "upper")[]): number[] {
  return marks.flatMap((mark) => keys.flatMap((key) => (typeof mark[key] === "number" ? [mark[key]] : [])));
}

export function minimum(values: readonly number[]): number {
  return values.reduce((a, b) => Math.min(a, b), Infinity);
}

export function maximum(values: readonly number[]): number {
  return values.reduce((a, b) => Math.max(a, b), -Infinity);
}
