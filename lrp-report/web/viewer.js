// The sample that is open: its heatmap, its classes and its ledger.

let draw = () => 0;
const open = () => samples[state.open - 1];
const target = () => open().targets[Math.min(state.target, open().targets.length) - 1];

function fill(select, names) {
  select.replaceChildren(...names.map((name, i) => element('option', { value: i }, name)));
}

// The output that is explained, and what the model itself says of it.
function outputOf({ score, probability }) {
  return probability === undefined ? ` with an output of ${short(score)}` : ` with a score of ${short(score)} before the output function, ${short(probability)} after it`;
}

// What signs mean where relevance starts below zero.
function signOf({ totals }) {
  return totals.start < 0 ? '. The relevance starts below zero and has a negative sum: negative values lower the score, positive values raise it' : '';
}

// Shows another sample, target or channel.
function show() {
  if (!samples.length) return;
  state.open = Math.max(1, Math.min(samples.length, Math.round(state.open)));
  const sample = open();
  state.target = Math.max(1, Math.min(sample.targets.length, Math.round(state.target)));
  const explained = target();
  if (!explained) return;
  state.channel = Math.max(0, Math.min(Math.max(explained.maps.length - 1, 0), Math.round(state.channel)));

  $('name').textContent = sample.name;
  const what = explained.against === undefined ? 'Explained' : 'Explained, as the difference of two outputs';
  $('what').replaceChildren(`${what}: `, element('b', {}, explained.title), outputOf(explained), signOf(explained));
  $('position').textContent = `${state.open} of ${samples.length}`;
  $('steps').hidden = samples.length < 2;
  $('previous').disabled = state.open === 1;
  $('next').disabled = state.open === samples.length;
  $('readout').textContent = 'Point at the relevance, or use the arrow keys on it, to read single values.';

  fill($('target'), sample.targets.map(({ title, score }) => `${title} (${short(score)})`));
  $('target-label').hidden = sample.targets.length < 2;
  const channels = ['sum of all', ...report.channels].slice(0, Math.max(explained.maps.length, 1));
  fill($('channel'), channels);
  $('channel-label').hidden = channels.length < 2;
  $('controls').hidden = $('stage').hidden = false;
  $('legend').hidden = !explained.maps.length;

  draw = (report.shape.kind === 'picture' ? pictureFigures : seriesFigures)(sample, explained);
  for (const control of document.querySelectorAll('.of-pictures')) control.hidden = report.shape.kind !== 'picture';
  $('overlay').closest('label').hidden ||= !sample.picture;
  showClasses(sample, explained);
  showChannels(explained, channels);
  showStages(sample, explained);
  drawFlow(explained);
  refresh();
}

// Draws what is open as the controls say.
function refresh() {
  setTheme();
  palette();
  if (!samples.length) return;
  for (const [id, key] of [['map', 'map'], ['clip', 'clip'], ['gain', 'gain'], ['overlay', 'overlay'], ['zoom', 'zoom']]) $(id).value = state[key];
  $('target').value = state.target - 1;
  $('channel').value = state.channel;
  $('all').checked = Boolean(state.all);
  $('gain-value').textContent = `×${Number(factor(state.gain).toPrecision(2))}`;
  $('overlay-value').textContent = `${state.overlay} %`;
  $('zoom-value').textContent = `×${Number(factor(state.zoom).toPrecision(2))}`;
  const limit = draw();
  drawScale($('scale'), limit);
  $('low').textContent = short(-limit);
  $('high').textContent = `+${short(limit)}`;
  paintChannels();
  paintStages();
  writeAddress();
}

// The largest outputs, and the explained one where it is not among them.
function showClasses(sample, explained) {
  const rows = sample.top.map(({ class: index, label, score, probability }) => ({ index, label, score, probability, mark: index === explained.class ? 'explained' : index === explained.against ? 'against' : '' }));
  if (!rows.length) return $('classes').replaceChildren();
  if (explained.against === undefined && !rows.some(({ mark }) => mark)) rows.push({ index: explained.class, label: explained.title, score: explained.score, probability: explained.probability, mark: 'explained' });
  const most = Math.max(...rows.map(({ score }) => Math.abs(score)), 1e-30);
  const probable = rows.some(({ probability }) => probability !== undefined);
  const line = ({ index, label, score, probability, mark }) => {
    const bar = element('span', { class: score < 0 ? 'bar negative' : 'bar' });
    bar.style.width = `${(100 * Math.abs(score)) / most}%`;
    const name = element('th', { scope: 'row' }, label, ...(index === undefined || label === String(index) ? [] : [element('small', {}, ` ${index}`)]));
    if (mark) name.append(element('em', {}, mark));
    return element('tr', mark ? { class: 'marked' } : {}, name, element('td', { class: 'number' }, short(score)), ...(probable ? [element('td', { class: 'number' }, short(probability))] : []), element('td', { class: 'bars', 'aria-hidden': 'true' }, bar));
  };
  const head = element('thead', {}, element('tr', {}, element('th', { scope: 'col' }, 'class'), element('th', { scope: 'col', class: 'number' }, probable ? 'score' : 'output'), ...(probable ? [element('th', { scope: 'col', class: 'number' }, 'probability')] : []), element('td', { 'aria-hidden': 'true' })));
  $('classes').replaceChildren(element('table', {}, element('caption', {}, 'Largest outputs'), head, element('tbody', {}, ...rows.map(line))));
}

// Small maps of the sum and of every channel, with one scale for all.
let strip = [];
function showChannels(explained, channels) {
  $('channels-part').hidden = channels.length < 3;
  strip = [];
  if (channels.length < 3) return $('channels').replaceChildren();
  const { height, width } = report.shape;
  const cells = explained.maps.map((map, i) => {
    const canvas = element('canvas', { 'aria-hidden': 'true' });
    canvas.style.aspectRatio = height > 1 ? `${width} / ${height}` : '4';
    strip.push({ canvas, values: decoded(map) });
    const button = element('button', { type: 'button', 'aria-pressed': i === state.channel }, canvas, element('span', {}, channels[i]), element('small', {}, `sum ${short(map.sum)}`));
    button.addEventListener('click', () => {
      state.channel = i;
      show();
      $('channels').children[i].focus();
    });
    return button;
  });
  $('channels').replaceChildren(...cells);
}

function paintChannels() {
  const { height, width } = report.shape;
  const limit = Math.max(0, ...strip.map(({ values }) => limitOf(values))) / factor(state.gain);
  for (const { canvas, values } of strip) paint(canvas, values, width, height, limit, palette());
}
