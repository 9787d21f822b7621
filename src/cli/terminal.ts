/** Text for a terminal: widths, columns, colour. */
import type { WriteStream } from "node:tty";

/** Columns to write for: those of the terminal, 80 when there is none, never more than a line that reads well. */
export function widthOf(stream: Partial<Pick<WriteStream, "columns">>): number {
  return Math.max(40, Math.min(100, stream.columns ?? 80));
}

/** Colour is for people at a terminal who did not refuse it (https://no-color.org). */
export function wantsColor(stream: Partial<Pick<WriteStream, "isTTY">>): boolean {
  return stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb";
}

export interface TextColumn {
  readonly header: string;
  readonly align?: "left" | "right";
}

/** Rows in columns two spaces apart; the first column gives way when the whole is wider than `width`. */
export function columnsText(
  columns: readonly TextColumn[],
  rows: readonly (readonly string[])[],
  width: number,
): string {
  const lines = [columns.map(({ header }) => header), ...rows];
  const widths = columns.map((_, c) => Math.max(...lines.map((line) => length(line[c] ?? ""))));
  const others = widths.slice(1).reduce((sum, w) => sum + w + 2, 0);
  widths[0] = Math.min(widths[0]!, Math.max(12, width - others));
  return lines
    .map((line) =>
      columns
        .map(({ align }, c) => {
          const cell = clip(line[c] ?? "", widths[c]!);
          const space = " ".repeat(widths[c]! - length(cell));
          return align === "right" ? space + cell : cell + space;
        })
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** At most `width` characters, the last of them … when something is cut. */
export function clip(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width
    ? text
    : `${characters
        .slice(0, Math.max(0, width - 1))
        .join("")
        .trimEnd()}…`;
}

/** An integer with thin groups of three: 1,234,567. */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

/** Quotes an argument for a POSIX shell where it needs it. */
export function shellQuote(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}

function length(text: string): number {
  return [...text].length;
}
