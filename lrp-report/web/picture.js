// A picture and its relevance, side by side: the same zoom, the same part, the same pixel marked in both.

// Grey values of a picture, to show through a heatmap.
async function greys(address, width, height) {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  const canvas = element('canvas', { width, height });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(picture, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  return Float32Array.from({ length: width * height }, (_, i) => 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]);
}

function pictureFigures(sample, target) {
  const { width, height } = report.shape;
  const heat = element('canvas', { role: 'img', tabindex: 0, 'aria-describedby': 'readout' });
  const frames = [];
  const frame = (title, content) => {
    const sheet = element('div', { class: 'sheet' }, content, element('div', { class: 'cross', hidden: '' }));
    const box = element('div', { class: 'frame' }, sheet);
    box.style.aspectRatio = `${width} / ${height}`;
    frames.push(box);
    return element('figure', {}, element('figcaption', {}, title), box);
  };
  const parts = [];
  let behind = null;
  if (sample.picture) {
    const input = element('img', { src: sample.picture, alt: `The input ${sample.name}` });
    parts.push(frame('Input', input));
    greys(sample.picture, width, height).then((values) => {
      behind = values;
      if (state.overlay) draw();
    });
  }
  const map = target.maps[Math.min(state.channel, target.maps.length - 1)];
  const values = map && decoded(map);
  if (values) parts.push(frame('Relevance', heat));
  $('figures').replaceChildren(...parts);
  if (!sample.picture) $('figures').append(element('p', { class: 'missing' }, `The input is not shown: ${sample.missing ?? 'there is no picture of it'}`));
  if (!values) $('figures').append(element('p', { class: 'missing' }, 'There is no relevance file, so there is no heatmap.'));

  function draw() {
    if (!values) return 0;
    const limit = limitOf(values) / factor(state.gain);
    paint(heat, values, width, height, limit, palette(), behind, behind ? state.overlay / 100 : 0);
    const strongest = values.reduce((best, v, i) => (Math.abs(v) > Math.abs(values[best]) ? i : best), 0);
    const place = `column ${strongest % width}, row ${Math.floor(strongest / width)}`;
    heat.setAttribute('aria-label', `Relevance for ${target.title}: sum ${short(map.sum)}, strongest ${short(values[strongest])} at ${place}. Arrow keys read single pixels.`);
    for (const box of frames) box.style.setProperty('--zoom', factor(state.zoom));
    return limit;
  }

  // Marks a pixel and says what is there.
  let at = null;
  function mark(x, y) {
    at = [Math.max(0, Math.min(width - 1, x)), Math.max(0, Math.min(height - 1, y))];
    for (const cross of $('figures').querySelectorAll('.cross')) {
      cross.hidden = false;
      cross.style.left = `${(100 * at[0]) / width}%`;
      cross.style.top = `${(100 * at[1]) / height}%`;
      cross.style.width = `${100 / width}%`;
      cross.style.height = `${100 / height}%`;
    }
    $('readout').textContent = `column ${at[0]}, row ${at[1]}: relevance ${short(values[at[1] * width + at[0]])}`;
  }
  const toPixel = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    mark(Math.floor(((event.clientX - box.left) / box.width) * width), Math.floor(((event.clientY - box.top) / box.height) * height));
  };
  if (values) {
    for (const sheet of $('figures').querySelectorAll('.sheet')) sheet.addEventListener('pointermove', toPixel);
    heat.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      const [x, y] = at ?? [width >> 1, height >> 1];
      mark(x + step[0], y + step[1]);
    });
  }
  for (const box of frames) {
    box.addEventListener('scroll', () => {
      for (const other of frames) {
        other.scrollLeft = box.scrollLeft;
        other.scrollTop = box.scrollTop;
      }
    });
  }
  return draw;
}
