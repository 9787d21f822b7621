/** What was measured on a device to be faster than the plan's own choice. Plain data. */
import type { MatmulVariant } from "./matmul.ts";

/**
 * How a dense pass walks its layers. What is left out is the plan's own choice; a plan's `choice` has everything but the
 * product, which is then chosen for each of a layer's products.
 */
export type DenseChoice =
  | {
      readonly layout: "rows";
      /** Rows an invocation carries in registers. */
      readonly rows?: number;
      /** Invocations of a workgroup: 4, 8 or 16, and no more than a subgroup has. */
      readonly workgroup?: number;
    }
  | {
      readonly layout: "tile";
      /** Rows a workgroup carries in workgroup memory. */
      readonly rows?: number;
      readonly workgroup?: number;
      /** Rows and hidden units of a workgroup's part of the weight gradients. */
      readonly gradientRows?: number;
      readonly gradientUnits?: number;
    }
  | { readonly layout: "matmul"; readonly product?: MatmulVariant };

/** Shapes that share a choice. */
export interface ShapeClass {
  /** q, padded as the device stores it. */
  readonly width: number;
  readonly hidden: number;
  /** n, rounded up to a power of two. */
  readonly rows: number;
  /** A step of training, or a forward pass only. */
  readonly training: boolean;
}

export interface TunedChoice extends ShapeClass {
  readonly choice: DenseChoice;
  /** Medians of a training step with this choice and with the plan's own (null: it failed), at `depth` layers. */
  readonly milliseconds: number;
  readonly plannedMilliseconds: number | null;
  readonly depth: number;
  /** Day of the measurement, YYYY-MM-DD. */
  readonly date: string;
}

/** The measured choices of one device, at most one for each class of shapes. */
export type Tuning = readonly TunedChoice[];

export function shapeClass(widthPadded: number, hidden: number, rows: number, training: boolean): ShapeClass {
  return { width: widthPadded, hidden, rows: 2 ** Math.ceil(Math.log2(rows)), training };
}

export function findTuned(tuning: Tuning | undefined, wanted: ShapeClass): TunedChoice | undefined {
  return tuning?.find((entry) => sameClass(entry, wanted));
}

/** `tuning` with `choice` as the only one of its class, or with none of that class. */
export function withTuned(tuning: Tuning, of: ShapeClass, choice?: TunedChoice): Tuning {
  const others = tuning.filter((entry) => !sameClass(entry, of));
  return choice ? [...others, choice] : others;
}

function sameClass(a: ShapeClass, b: ShapeClass): boolean {
  return a.width === b.width && a.hidden === b.hidden && a.rows === b.rows && a.training === b.training;
}

/** A choice in words, for tables and notes. */
export function choiceText(choice: DenseChoice): string {
  const parts: string[] = [];
  if (choice.layout === "matmul") {
    parts.push(choice.product ?? "each by its shape");
  } else {
    if (choice.rows !== undefined) parts.push(`${choice.rows} ${choice.rows === 1 ? "row" : "rows"}`);
    if (choice.workgroup !== undefined) parts.push(`group ${choice.workgroup}`);
    if (choice.layout === "tile" && choice.gradientRows !== undefined && choice.gradientUnits !== undefined)
      parts.push(`gradient ${choice.gradientRows}×${choice.gradientUnits}`);
  }
  return [choice.layout, parts.join(", ")].filter((part) => part !== "").join(": ");
}
