// The list of samples: small pictures that are drawn when they come into view.

let listed = [];

function thumbnail(sample, i) {
  const explained = sample.targets[0];
  const picture = report.shape.kind === 'picture';
  const heat = element('canvas', { 'aria-hidden': 'true' });
  const maps = element('span', { class: picture ? 'maps' : 'maps series' });
  if (picture && sample.picture) maps.append(element('img', { src: sample.picture, alt: '', loading: 'lazy' }));
  maps.append(heat);
  const class_ = explained ? explained.title : '';
  const option = element('button', { type: 'button', role: 'option', 'aria-selected': 'false', tabindex: -1, title: sample.name }, maps, element('span', { class: 'name' }, sample.name), element('small', {}, `${class_} (${short(explained?.score)})`));
  option.addEventListener('click', () => choose(i));
  return { i, option, heat, sample, class_, score: explained?.score ?? -Infinity, lost: lost(explained), drawn: '' };
}

// The share of the start that the input does not receive.
function lost(explained) {
  const { start, bias, stabilizer, rule } = explained?.totals ?? {};
  return start ? (Math.abs(bias) + Math.abs(stabilizer) + Math.abs(rule)) / Math.abs(start) : 0;
}

const thumbnails = samples.map(thumbnail);

function drawThumbnail(thumb) {
  const map = thumb.sample.targets[0]?.maps[0];
  if (!map || thumb.drawn === state.map) return;
  const { width, height } = report.shape;
  const values = decoded(map);
  paint(thumb.heat, values, width, height, map.max, palette());
  thumb.drawn = state.map;
}

const inView = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const { target: option, isIntersecting } of entries) {
    const thumb = thumbnails[option.dataset.i];
    if (isIntersecting) {
      inView.add(thumb);
      drawThumbnail(thumb);
    } else inView.delete(thumb);
  }
}, { rootMargin: '200px' });
for (const { option, i } of thumbnails) {
  option.dataset.i = i;
  watcher.observe(option);
}

// Lists what matches, in the order that was asked for.
function list() {
  const wanted = $('find').value.trim().toLowerCase();
  const orders = {
    given: (a, b) => a.i - b.i,
    class: (a, b) => a.class_.localeCompare(b.class_, undefined, { numeric: true }) || b.score - a.score,
    score: (a, b) => b.score - a.score,
    lost: (a, b) => b.lost - a.lost,
  };
  listed = thumbnails.filter(({ sample, class_ }) => `${sample.name} ${class_}`.toLowerCase().includes(wanted)).sort(orders[$('order').value]);
  $('thumbs').replaceChildren(...listed.map(({ option }) => option));
  $('count').textContent = listed.length === samples.length ? `${samples.length} inputs` : `${listed.length} of ${samples.length} inputs`;
  select();
}

function select() {
  const current = thumbnails[state.open - 1];
  for (const { option } of thumbnails) {
    option.setAttribute('aria-selected', 'false');
    option.tabIndex = -1;
  }
  current?.option.setAttribute('aria-selected', 'true');
  // One of them can always be reached with the tab key.
  const reachable = listed.includes(current) ? current : listed[0];
  if (reachable) reachable.option.tabIndex = 0;
  for (const thumb of inView) drawThumbnail(thumb);
  reveal();
}

function choose(i) {
  state.open = i + 1;
  show();
  select();
}

// Goes through the list: from the open sample, by a step.
function step(by) {
  const at = listed.findIndex(({ i }) => i === state.open - 1);
  const next = listed[at < 0 ? 0 : Math.max(0, Math.min(listed.length - 1, at + by))];
  if (!next) return;
  choose(next.i);
  return next.option;
}

// Scrolls the list, and not the page, to the open sample.
function reveal() {
  const option = thumbnails[state.open - 1]?.option;
  const box = $('thumbs');
  if (!option?.isConnected) return;
  const [top, bottom] = [option.offsetTop, option.offsetTop + option.offsetHeight];
  if (top < box.scrollTop || bottom > box.scrollTop + box.clientHeight) box.scrollTop = (top + bottom - box.clientHeight) / 2;
}
