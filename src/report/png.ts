/** SVG → PNG with fonts of our own, so that the text is there on a machine without any. Node only. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Resvg } from "@resvg/resvg-js";

const FONT_FILES = ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSans-BoldOblique.ttf"];

/**
 * Renders SVG text to a PNG file's bytes on a white ground.
 * @param scale pixels of the image for each pixel of the SVG
 */
export function renderPng(svg: string, scale = 2): Uint8Array {
  const fonts = join(dirname(createRequire(import.meta.url).resolve("dejavu-fonts-ttf/package.json")), "ttf");
  const image = new Resvg(svg, {
    background: "#ffffff",
    fitTo: { mode: "zoom", value: scale },
    font: {
      fontFiles: FONT_FILES.map((file) => join(fonts, file)),
      loadSystemFonts: false,
      defaultFontFamily: "DejaVu Sans",
      sansSerifFamily: "DejaVu Sans",
    },
  });
  return image.render().asPng();
}
