/** The house style of every figure: sizes, colours, and the widths of letters that layout needs. */
import { scheme } from "vega";

/** Pixels from edge to edge of a figure. */
export const FIGURE_WIDTH = 760;
export const PANEL_HEIGHT = 400;
export const FACET_HEIGHT = 200;
/** Verdana has the metrics of DejaVu Sans; a browser without either falls back to its own sans-serif. */
export const FONT = "DejaVu Sans, Verdana, sans-serif";
export const GUIDE_COLOR = "#6e7781";
export const EMPTY_CELL = "#eceef1";

/** Okabe and Ito (2008), "Color Universal Design": tells apart for all common kinds of colour blindness. Yellow last: it is weak on white. */
export const CATEGORICAL: readonly string[] = [
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#cc79a7",
  "#e69f00",
  "#56b4e9",
  "#333333",
  "#f0e442",
];
/** The light end of viridis is lost on white when it colours a thin line. */
export const LINE_VIRIDIS_EXTENT: readonly [number, number] = [0, 0.87];

/** `count` colours from dark to light along viridis, for ordered series. */
export function sequentialColors(count: number): string[] {
  const viridis = scheme("viridis") as (position: number) => string;
  const [from, to] = LINE_VIRIDIS_EXTENT;
  return Array.from({ length: count }, (_, i) => viridis(from + (count < 2 ? 0 : (i / (count - 1)) * (to - from))));
}

export const CHART_CONFIG = {
  background: "#ffffff",
  font: FONT,
  padding: 10,
  aria: false,
  view: { stroke: null },
  title: {
    anchor: "start",
    frame: "bounds",
    offset: 12,
    fontSize: 15,
    fontWeight: "bold",
    lineHeight: 19,
    color: "#1b1f24",
    subtitleFontSize: 11,
    subtitleLineHeight: 15,
    subtitleColor: "#57606a",
    subtitlePadding: 5,
  },
  axis: {
    labelFontSize: 11,
    titleFontSize: 12,
    titleFontWeight: "normal",
    labelColor: "#424a53",
    titleColor: "#1b1f24",
    titlePadding: 9,
    gridColor: "#e4e7ea",
    domainColor: "#8c959f",
    tickColor: "#8c959f",
    tickSize: 5,
    labelPadding: 3,
    labelFlush: false,
  },
  legend: {
    labelFontSize: 11,
    titleFontSize: 11,
    titleFontWeight: "bold",
    labelColor: "#424a53",
    titleColor: "#1b1f24",
    labelLimit: 340,
    titleLimit: 340,
    rowPadding: 4,
    columnPadding: 14,
    symbolStrokeWidth: 2.2,
    symbolSize: 90,
    symbolOpacity: 1,
    gradientThickness: 14,
    offset: 14,
  },
  header: { labelFontSize: 12, labelColor: "#1b1f24", labelPadding: 6, labelFontWeight: "normal", title: null },
};

/** Advance widths of DejaVu Sans, characters 32 to 126, in hundredths of the font size. */
const ADVANCES = [
  32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84,
  84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79, 60, 79, 69, 63, 61, 73, 68, 99, 69, 61,
  69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97, 63, 61, 63, 63, 41, 52, 39, 63, 59,
  82, 59, 59, 52, 64, 34, 64, 84,
];
const OTHER_ADVANCE = 64;
const BOLD = 1.1;

/**
 * Width of a line of text in the house font, in units of `fontSize`; characters outside ASCII count as a digit. Vega without a canvas counts
 * 0.8 of the font size for each character, which leaves titles far from their axis: what matters is placed by this instead.
 */
export function textWidth(text: string, fontSize: number, bold = false): number {
  let hundredths = 0;
  for (const character of text) hundredths += ADVANCES[character.codePointAt(0)! - 32] ?? OTHER_ADVANCE;
  return (hundredths / 100) * fontSize * (bold ? BOLD : 1);
}

/** Breaks text between words into lines that `fits` accepts; a single word stays whole. */
export function wrapText(text: string, fits: (line: string) => boolean): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/).filter((part) => part !== "")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && !fits(longer)) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  if (line !== "") lines.push(line);
  return lines;
}
