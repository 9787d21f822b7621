import { html, LitElement, type PropertyValues } from "lit";
import { linearTicks } from "../../../src/report/axis_ticks.ts";
import type { Colour, Picture, Range, View } from "./protocol.ts";

/** Around the picture, in CSS pixels. */
const MARGIN = { left: 58, right: 12, top: 10, bottom: 44 };
const LARGEST_HEIGHT = 560;
/** More pixels to a CSS pixel cost time and show no more. */
const SHARPEST = 2;
/** Of the picture, which is made anew 60 times a second. */
const MOST_PIXELS = 700_000;
/** CSS pixels that a label takes along its axis. */
const LABEL = { x: 60, y: 40 };

export type Frame = Pick<View, "width" | "height" | "colours">;

/** Picture and axes on one canvas. Whenever the picture should have another size or other colours, that is an event `frame`. */
export class PhasePortrait extends LitElement {
  static override properties = {
    picture: { attribute: false },
    xLabel: {},
    yLabel: {},
    description: {},
  };
  declare picture: Picture | undefined;
  declare xLabel: string;
  declare yLabel: string;
  /** For whom it cannot be seen. */
  declare description: string;
  readonly #resized = new ResizeObserver(() => this.#measure());
  readonly #recolour = () => {
    this.#measure();
    this.requestUpdate();
  };
  readonly #image = document.createElement("canvas");
  #told = "";

  constructor() {
    super();
    this.picture = undefined;
    this.xLabel = "";
    this.yLabel = "";
    this.description = "";
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
  }

  get canvas(): HTMLCanvasElement {
    return this.querySelector("canvas")!;
  }

  protected override render() {
    return html`<canvas role="img" aria-label=${this.description}></canvas>`;
  }

  protected override updated(_: PropertyValues<this>): void {
    this.#draw();
  }

  #size() {
    const sharp = Math.min(SHARPEST, devicePixelRatio);
    const width = this.clientWidth;
    const height = Math.min(LARGEST_HEIGHT, Math.max(280, Math.round(0.62 * width)));
    const box = {
      width: Math.max(0, width - MARGIN.left - MARGIN.right),
      height: height - MARGIN.top - MARGIN.bottom,
    };
    const fine = Math.min(sharp, Math.sqrt(MOST_PIXELS / Math.max(1, box.width * box.height)));
    const pixels = { width: Math.floor(fine * box.width), height: Math.floor(fine * box.height) };
    return { sharp, width, height, box, pixels };
  }

  #measure(): void {
    // A tab that is not shown has no size, and keeps the one it had.
    if (this.clientWidth === 0) return;
    const style = getComputedStyle(this);
    const colour = (name: string) => rgb(style.getPropertyValue(name).trim());
    const detail: Frame = {
      ...this.#size().pixels,
      colours: [colour("--page"), colour("--few"), colour("--many")],
    };
    const text = JSON.stringify(detail);
    if (text === this.#told) return;
    this.#told = text;
    this.dispatchEvent(new CustomEvent<Frame>("frame", { detail }));
  }

  #draw(): void {
    if (this.clientWidth === 0) return;
    const { sharp, width, height, ...size } = this.#size();
    const { canvas, picture } = this;
    const [across, down] = [Math.round(width * sharp), Math.round(height * sharp)];
    if (canvas.width !== across) canvas.width = across;
    if (canvas.height !== down) canvas.height = down;
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d")!;
    const style = getComputedStyle(this);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = colour("--page");
    context.fillRect(0, 0, across, down);
    context.setTransform(sharp, 0, 0, sharp, 0, 0);
    const { left, top } = MARGIN;
    const box = { left, top, right: left + size.box.width, bottom: top + size.box.height };
    if (picture) {
      const { pixels, width: columns, height: rows } = picture;
      if (this.#image.width !== columns) this.#image.width = columns;
      if (this.#image.height !== rows) this.#image.height = rows;
      this.#image.getContext("2d")!.putImageData(new ImageData(pixels, columns, rows), 0, 0);
      context.drawImage(this.#image, left, top, size.box.width, size.box.height);
    }
    context.strokeStyle = colour("--line");
    context.lineWidth = 1;
    context.strokeRect(box.left - 0.5, box.top - 0.5, box.right - box.left + 1, box.bottom - box.top + 1);
    context.fillStyle = colour("--text");
    context.strokeStyle = colour("--quiet");
    context.font = "12px system-ui, sans-serif";
    if (picture) {
      context.textAlign = "center";
      context.textBaseline = "top";
      for (const { value, label } of ticksOf(picture.x, (box.right - box.left) / LABEL.x)) {
        const at = box.left + along(value, picture.x) * (box.right - box.left);
        tick(context, at, box.bottom, at, box.bottom + 4);
        context.fillText(label, at, box.bottom + 7);
      }
      context.textAlign = "right";
      context.textBaseline = "middle";
      for (const { value, label } of ticksOf(picture.y, (box.bottom - box.top) / LABEL.y)) {
        const at = box.bottom - along(value, picture.y) * (box.bottom - box.top);
        tick(context, box.left - 4, at, box.left, at);
        context.fillText(label, box.left - 7, at);
      }
    }
    context.font = "600 13px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "bottom";
    context.fillText(this.xLabel, (box.left + box.right) / 2, height - 3);
    context.textBaseline = "top";
    context.translate(3, (box.top + box.bottom) / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(this.yLabel, 0, 0);
  }
}

function tick(context: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

/** 0 to 1 from end to end. */
function along(value: number, [low, high]: Range): number {
  return (value - low) / (high - low);
}

function ticksOf([low, high]: Range, labels: number) {
  return linearTicks(low, high, Math.max(4, Math.min(9, Math.floor(labels)))).labelled.filter(
    ({ value }) => value >= low && value <= high,
  );
}

/** #rgb or #rrggbb, as a build may shorten it. */
function rgb(hex: string): Colour {
  const digits = hex.length === 4 ? [...hex.slice(1)].map((digit) => digit + digit) : hex.slice(1).match(/../g)!;
  return digits.map((pair) => Number.parseInt(pair, 16)) as unknown as Colour;
}

customElements.define("phase-portrait", PhasePortrait);
