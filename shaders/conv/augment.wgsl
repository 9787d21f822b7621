// output[i, c, y, x] = (level / 255 − mean_c) / deviation_c of image order[first + i] of a set of grey levels, framed by `padding` zeros, cropped to
//   its own size where words of counter first + i say, and by them mirrored.   levels: [set, CHANNELS, HEIGHT, WIDTH] bytes, four a word
// targets[i] = labels[order[first + i]]. Only of images that `levels` holds: `held` images of the set from held_first on.
// An invocation has a pixel of an image, all channels. Random words: common/threefry, as cropOf() of src/model/image_set.ts.
// Host promises: grid ⌈images · HEIGHT · WIDTH / WORKGROUP⌉; colours: CHANNELS pairs (mean, deviation).
import package::common::threefry::threefry2x32;

const CHANNELS = 3u;
const HEIGHT = 32u;
const WIDTH = 32u;
const WORKGROUP = 32u;
const PIXELS = HEIGHT * WIDTH;

struct Params {
  images: u32,
  first: u32,
  key0: u32,
  key1: u32,
  padding: u32,
  mirrors: u32, // 1: half of the images are mirrored
  held_first: u32,
  held: u32,
}

@group(0) @binding(0) var<storage, read> levels: array<u32>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read> colours: array<vec2f>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;
@group(0) @binding(5) var<storage, read_write> targets: array<u32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let image = id.x / PIXELS;
  if (image >= params.images) {
    return;
  }
  let at = params.first + image;
  // Images before the first that is held wrap to numbers above all.
  let place = order[at] - params.held_first;
  if (place >= params.held) {
    return;
  }
  let padding = params.padding;
  let words = threefry2x32(vec2u(params.key0, params.key1), vec2u(at, 0u));
  let places = 2u * padding + 1u;
  let mirrored = (params.mirrors == 1u) & ((words.y >> 31u) == 1u);
  let y = id.x % PIXELS / WIDTH;
  let x = id.x % WIDTH;
  let across = select(x, WIDTH - 1u - x, mirrored);
  // Rows and columns of the frame wrap to numbers above the image's size.
  let row = y + (((words.x & 0xffffu) * places) >> 16u) - padding;
  let column = across + (((words.x >> 16u) * places) >> 16u) - padding;
  let inside = (row < HEIGHT) & (column < WIDTH);
  let pixel = min(row, HEIGHT - 1u) * WIDTH + min(column, WIDTH - 1u);
  if (id.x % PIXELS == 0u) {
    targets[image] = labels[order[at]];
  }
  for (var c = 0u; c < CHANNELS; c++) {
    let byte = (place * CHANNELS + c) * PIXELS + pixel;
    let level = (levels[byte / 4u] >> (8u * (byte % 4u))) & 0xffu;
    let colour = colours[c];
    output[(image * CHANNELS + c) * PIXELS + id.x % PIXELS] = (select(0.0, f32(level), inside) / 255.0 - colour.x) / colour.y;
  }
}
