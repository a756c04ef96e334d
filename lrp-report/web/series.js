// Samples that are no pictures: values as a curve or bars on their relevance, and relevance as bars.

const BARS = 64;

function seriesFigures(sample, target) {
  const { width: length } = report.shape;
  const chosen = Math.min(state.channel, target.maps.length - 1);
  const map = target.maps[chosen];
  const relevance = map && decoded(map);
  const inputs = (sample.values ?? []).filter((_, i) => chosen < 1 || i === chosen - 1).map(decoded);
  const canvas = element('canvas', { role: 'img', tabindex: 0, 'aria-describedby': 'readout', class: 'series' });
  const parts = relevance ? [element('figure', { class: 'wide' }, element('figcaption', {}, inputs.length ? 'Input on its relevance; relevance below' : 'Relevance'), canvas)] : [];
  $('figures').replaceChildren(...parts);
  if (!inputs.length) $('figures').append(element('p', { class: 'missing' }, `The input is not shown: ${sample.missing ?? 'there are too many channels'}`));
  if (!relevance) {
    $('figures').append(element('p', { class: 'missing' }, 'There is no relevance file, so there is nothing to draw.'));
    return () => 0;
  }

  const margin = 56;
  let at = null;
  function draw() {
    const colours = palette();
    const limit = limitOf(relevance) / factor(state.gain);
    const [width, top, bottom] = [canvas.clientWidth || 600, inputs.length ? 160 : 0, 120];
    const ratio = window.devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = (top + bottom + 34) * ratio;
    const context = canvas.getContext('2d');
    context.scale(ratio, ratio);
    const ink = (name) => getComputedStyle(canvas).getPropertyValue(name).trim();
    context.font = '12px system-ui, sans-serif';
    const x = (i) => margin + (i * (width - margin - 8)) / length;
    const step = x(1) - x(0);
    const label = (text, y) => {
      context.fillStyle = ink('--faint');
      context.textAlign = 'right';
      context.fillText(text, margin - 6, y + 4);
    };

    if (inputs.length) {
      const low = Math.min(...inputs.map((v) => v.reduce((m, n) => Math.min(m, n), Infinity)));
      const high = Math.max(...inputs.map((v) => v.reduce((m, n) => Math.max(m, n), -Infinity)));
      const y = (v) => 10 + (top - 20) * (high > low ? (high - v) / (high - low) : 0.5);
      for (let i = 0; i < length; i++) {
        context.fillStyle = colour(colours, limit > 0 ? relevance[i] / limit : 0);
        context.fillRect(x(i), 0, step + 0.5, top);
      }
      // The zero of some maps is black, that of others white.
      const [r, g, b] = colours.subarray(place(colours, 0), place(colours, 0) + 3);
      context.strokeStyle = context.fillStyle = r + g + b > 380 ? '#111' : '#eee';
      for (const values of inputs) {
        context.beginPath();
        for (let i = 0; i < length; i++) {
          if (length <= BARS) {
            context.moveTo(x(i) + step * 0.15, y(values[i]));
            context.lineTo(x(i) + step * 0.85, y(values[i]));
          } else context.lineTo(x(i) + step / 2, y(values[i]));
        }
        context.lineWidth = length <= BARS ? 2.5 : 1.2;
        context.stroke();
      }
      label(short(high), y(high));
      if (high > low) label(short(low), y(low));
    }

    const zero = top + 12 + bottom / 2;
    for (let i = 0; i < length; i++) {
      const part = limit > 0 ? Math.max(-1, Math.min(1, relevance[i] / limit)) : 0;
      context.fillStyle = ink(part >= 0 ? '--for' : '--against');
      context.fillRect(x(i) + (length <= BARS ? step * 0.1 : 0), zero, Math.max(step * (length <= BARS ? 0.8 : 1), 0.6), (-part * bottom) / 2);
    }
    context.fillStyle = ink('--faint');
    context.fillRect(margin, zero, width - margin - 8, 1);
    label(short(limit), zero - bottom / 2 + 4);
    label('0', zero);
    label(short(-limit), zero + bottom / 2 - 4);
    context.textAlign = 'center';
    const marks = Math.min(length, Math.max(2, Math.floor(width / 90)));
    for (let k = 0; k < marks; k++) {
      const i = Math.round((k * (length - 1)) / Math.max(1, marks - 1));
      context.fillText(i, x(i) + step / 2, top + bottom + 28);
    }
    if (at !== null) {
      context.strokeStyle = ink('--accent');
      context.lineWidth = 1.5;
      context.strokeRect(x(at), 1, Math.max(step, 2), top + bottom + 12);
    }
    const strongest = relevance.reduce((best, v, i) => (Math.abs(v) > Math.abs(relevance[best]) ? i : best), 0);
    canvas.setAttribute('aria-label', `Relevance for ${target.title}: sum ${short(map.sum)}, strongest ${short(relevance[strongest])} at position ${strongest} of ${length}. Arrow keys read single positions.`);
    return limit;
  }

  function mark(i) {
    at = Math.max(0, Math.min(length - 1, i));
    const values = inputs.map((v) => short(v[at])).slice(0, 8).join(', ');
    $('readout').textContent = `position ${at}: relevance ${short(relevance[at])}${values ? `, input ${values}` : ''}`;
    draw();
  }
  canvas.addEventListener('pointermove', (event) => {
    const box = canvas.getBoundingClientRect();
    mark(Math.floor(((event.clientX - box.left - margin) / (box.width - margin - 8)) * length));
  });
  canvas.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    mark(at === null ? 0 : at + step);
  });
  return draw;
}
