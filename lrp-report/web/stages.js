// A strip of maps: the relevance of the input, then that of nodes inside the network, from the input to the output.

let stages = [];

// Every pixel of a larger picture has the value whose part of the picture it is in.
function spread(values, [height, width], [rows, columns]) {
  const out = new Float32Array(rows * columns);
  for (let y = 0; y < rows; y++) {
    const from = Math.floor((y * height) / rows) * width;
    for (let x = 0; x < columns; x++) out[y * columns + x] = values[from + Math.floor((x * width) / columns)];
  }
  return out;
}

function showStages(sample, explained) {
  const maps = explained.stages ?? [];
  const { height, width, channels } = report.shape;
  stages = [];
  $('stages-part').hidden = !maps.length;
  if (!maps.length) return $('stages').replaceChildren();
  const input = { name: 'the input', op: '', channels, height, width, map: explained.maps[0] };
  const all = [input, ...maps.map((map, i) => ({ ...report.stages[i], map }))].filter(({ map }) => map);
  const cells = all.map(({ name, op, map, ...shape }) => {
    const size = [Math.max(height, shape.height), Math.max(width, shape.width)];
    const canvas = element('canvas', { role: 'img', 'aria-label': `Relevance at ${name}: sum ${short(map.sum)}, largest ${short(map.max)}` });
    canvas.style.aspectRatio = `${width} / ${height}`;
    stages.push({ canvas, size, values: spread(decoded(map), [shape.height, shape.width], size), behind: null });
    const axes = [shape.channels, shape.height, shape.width].join('×');
    return element('div', { role: 'listitem', title: name }, canvas, element('span', { class: 'name' }, name), element('small', {}, `${op} ${axes}`), element('small', {}, `sum ${short(map.sum)}`));
  });
  $('stages').replaceChildren(...cells);
  if (!sample.picture) return;
  for (const stage of stages) {
    greys(sample.picture, stage.size[1], stage.size[0]).then((values) => {
      stage.behind = values;
      if (state.overlay) paintStages();
    });
  }
}

function paintStages() {
  for (const { canvas, size, values, behind } of stages) {
    paint(canvas, values, size[1], size[0], limitOf(values) / factor(state.gain), palette(), behind, behind ? state.overlay / 100 : 0);
  }
}
