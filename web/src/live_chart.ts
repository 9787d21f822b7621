import { html, LitElement, type PropertyValues } from "lit";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface ChartSeries {
  readonly label: string;
  /** Custom property of the style sheet that holds its colour. */
  readonly color: string;
  readonly dash?: boolean;
  /** Drawn behind, lighter. */
  readonly faint?: boolean;
}

const HEIGHT = 230;

/** Lines that move: uPlot in the page's colours. */
export class LiveChart extends LitElement {
  static override properties = {
    heading: {},
    xLabel: {},
    series: { attribute: false },
    data: { attribute: false },
    log: { type: Boolean },
  };
  declare heading: string;
  declare xLabel: string;
  declare series: readonly ChartSeries[];
  declare data: uPlot.AlignedData;
  /** The y axis is logarithmic. */
  declare log: boolean;
  #plot: uPlot | undefined;
  readonly #resized = new ResizeObserver(() => this.#plot?.setSize(this.#size()));
  readonly #recolour = () => this.#draw();

  constructor() {
    super();
    this.heading = "";
    this.xLabel = "";
    this.series = [];
    this.data = [[]];
    this.log = false;
  }

  protected override createRenderRoot() {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener("theme", this.#recolour);
    this.#resized.observe(this);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("theme", this.#recolour);
    this.#resized.disconnect();
    this.#plot?.destroy();
    this.#plot = undefined;
  }

  /** What is drawn, in device pixels. */
  get canvas(): HTMLCanvasElement | undefined {
    return this.#plot?.ctx.canvas;
  }

  protected override render() {
    return html`<figure>
      <figcaption>${this.heading}</figcaption>
      <div class="plot" role="img" aria-label=${`${this.heading}: ${this.series.map(({ label }) => label).join(", ")}`}></div>
    </figure>`;
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has("series") || changed.has("log") || !this.#plot) this.#draw();
    else if (changed.has("data")) this.#plot.setData(this.data);
  }

  #size() {
    return { width: Math.max(200, this.clientWidth), height: HEIGHT };
  }

  #draw(): void {
    const place = this.querySelector<HTMLElement>(".plot");
    if (!place) return;
    const style = getComputedStyle(this);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    this.#plot?.destroy();
    const axis: uPlot.Axis = {
      stroke: colour("--text"),
      grid: { stroke: colour("--grid"), width: 1 },
      ticks: { stroke: colour("--grid"), width: 1 },
      font: "12px system-ui, sans-serif",
      labelFont: "12px system-ui, sans-serif",
    };
    this.#plot = new uPlot(
      {
        ...this.#size(),
        legend: {
          live: false,
          // A line of its own kind for each series: colours repeat.
          markers: {
            width: 1,
            fill: "transparent",
            dash: (_, i) => (this.series[i - 1]?.dash ? "dashed" : "solid"),
          },
        },
        cursor: { y: false, drag: { x: false, y: false } },
        scales: { x: { time: false }, y: this.log ? { distr: 3 } : { range: linearRange } },
        axes: [
          { ...axis, label: this.xLabel, labelSize: 18, size: 34 },
          {
            ...axis,
            ...(this.log && {
              grid: { ...axis.grid, filter: powersOfTen },
              ticks: { ...axis.ticks, filter: powersOfTen },
            }),
            size: 66,
            values: (_, ticks, __, ___, step) =>
              ticks.map((value) => (value === null ? "" : tickText(value, this.log ? value : step))),
          },
        ],
        series: [
          {},
          ...this.series.map(
            ({ label, color, dash, faint }): uPlot.Series => ({
              label,
              stroke: colour(color),
              width: faint ? 1 : 1.75,
              alpha: faint ? 0.45 : 1,
              points: { show: false },
              spanGaps: true,
              ...(dash && { dash: [6, 4] }),
            }),
          ),
        ],
      },
      this.data,
      place,
    );
    const plot = this.#plot;
    // A browser whose graphics process ended has forgotten what was drawn.
    plot.ctx.canvas.addEventListener("contextrestored", () => plot.redraw());
  }
}

/** Room for a constant, such as V = 0 at the start, and for nothing yet. */
function linearRange(_: uPlot, least: number | null, most: number | null): uPlot.Range.MinMax {
  if (least === null || most === null) return [0, 1];
  if (least === most) return [least - 0.5, most + 0.5];
  return uPlot.rangeNum(least, most, 0.1, true);
}

/** With as many digits as tell it from the next tick, `step` away. */
function tickText(value: number, step: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e4 || size < 1e-3)
    return value.toExponential(Math.max(0, digits(size) - digits(step))).replace("e+", "e");
  return value.toFixed(decimals(step));
}

/** Digits behind the point: 2 of 0.25. */
function decimals(step: number): number {
  let count = Math.max(0, -digits(step));
  while (count < 8 && Math.abs(step * 10 ** count - Math.round(step * 10 ** count)) > 1e-6) count++;
  return count;
}

/** Exponent of the leading digit. */
function digits(value: number): number {
  return Math.floor(Math.log10(Math.abs(value)) + 1e-9);
}

function powersOfTen(_: uPlot, ticks: readonly number[]): (number | null)[] {
  return ticks.map((value) => (Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9 ? value : null));
}

customElements.define("live-chart", LiveChart);
