import type { LiveChart } from "../live_chart.ts";

const TITLE = 26;

/** All charts in one picture, two a row, each under its heading. */
export async function pictureOf(charts: readonly LiveChart[], background: string, text: string): Promise<Blob> {
  const drawn = charts.flatMap(({ canvas, heading }) => (canvas ? [{ canvas, heading }] : []));
  const width = Math.max(...drawn.map(({ canvas }) => canvas.width));
  const height = Math.max(...drawn.map(({ canvas }) => canvas.height)) + TITLE * devicePixelRatio;
  const columns = Math.min(2, drawn.length);
  const picture = document.createElement("canvas");
  picture.width = columns * width;
  picture.height = Math.ceil(drawn.length / columns) * height;
  const context = picture.getContext("2d")!;
  context.fillStyle = background;
  context.fillRect(0, 0, picture.width, picture.height);
  context.fillStyle = text;
  context.font = `600 ${14 * devicePixelRatio}px system-ui, sans-serif`;
  for (const [i, { canvas, heading }] of drawn.entries()) {
    const [x, y] = [(i % columns) * width, Math.floor(i / columns) * height];
    context.fillText(heading, x + 8 * devicePixelRatio, y + 18 * devicePixelRatio);
    context.drawImage(canvas, x, y + TITLE * devicePixelRatio);
  }
  return new Promise((resolve, reject) =>
    picture.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the picture could not be encoded")))),
  );
}
