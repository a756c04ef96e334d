// Colour maps: a list of colours whose middle one stands for zero.

const palettes = new Map(report.palettes.map(({ name, colors }) => [name, bytes(colors)]));
if (!palettes.size) palettes.set('bwr', Uint8Array.of(0, 0, 255, 255, 255, 255, 255, 0, 0));

function palette() {
  if (!palettes.has(state.map)) state.map = palettes.has(report.palette) ? report.palette : palettes.keys().next().value;
  return palettes.get(state.map);
}

// The place in a palette of a value in −1…1; zero and what is no number are the middle.
function place(colours, value) {
  const middle = (colours.length / 3 - 1) / 2;
  const at = Math.max(-1, Math.min(1, value || 0));
  return 3 * (middle + Math.round(at * middle));
}

function colour(colours, value) {
  const at = place(colours, value);
  return `rgb(${colours[at]}, ${colours[at + 1]}, ${colours[at + 2]})`;
}

// What the ends of the scale stand for, before gain: the percentile of |R| that was asked for.
function limitOf(values) {
  const sizes = Float32Array.from(values, Math.abs).sort();
  if (!sizes.length) return 0;
  const largest = sizes[sizes.length - 1];
  if (state.clip >= 100) return largest;
  const limit = sizes[Math.round((state.clip / 100) * (sizes.length - 1))];
  // A map that is zero nearly everywhere.
  return limit > 0 ? limit : largest;
}

function drawScale(canvas, limit) {
  const colours = palette();
  canvas.width = 255;
  canvas.height = 1;
  const steps = Float32Array.from({ length: 255 }, (_, i) => (i - 127) / 127);
  paint(canvas, steps, 255, 1, 1, colours);
  canvas.setAttribute('aria-label', `Colour scale ${state.map}, from ${short(-limit)} to ${short(limit)}; zero is the middle`);
}

// One pixel for each value, `limit` at the ends of the scale. `behind` are pixels that show through, as far as `share`.
function paint(canvas, values, width, height, limit, colours, behind = null, share = 0) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  const image = context.createImageData(width, height);
  const scale = limit > 0 ? 1 / limit : 0;
  for (let i = 0; i < values.length; i++) {
    const at = place(colours, values[i] * scale);
    for (let c = 0; c < 3; c++) {
      const own = colours[at + c];
      image.data[4 * i + c] = behind ? own + (behind[i] - own) * share : own;
    }
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
