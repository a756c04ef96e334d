// Brings the page to life.

function listen(id, key, read = (control) => Number(control.value), then = refresh) {
  $(id).addEventListener('input', (event) => {
    state[key] = read(event.target);
    then();
  });
}

function start() {
  const at = readAddress();
  setTheme();
  listen('theme', 'theme', (control) => control.value);
  listen('map', 'map', (control) => control.value, () => { refresh(); select(); });
  listen('clip', 'clip');
  listen('gain', 'gain');
  listen('overlay', 'overlay');
  listen('zoom', 'zoom');
  listen('target', 'target', (control) => Number(control.value) + 1, show);
  listen('channel', 'channel', undefined, show);
  listen('all', 'all', (control) => Number(control.checked), show);
  $('map').replaceChildren(...[...palettes.keys()].map((name) => element('option', { value: name }, name)));
  $('reset').addEventListener('click', () => {
    for (const key of ['map', 'clip', 'gain', 'overlay', 'zoom', 'channel']) state[key] = defaults[key];
    show();
    select();
  });
  $('previous').addEventListener('click', () => step(-1));
  $('next').addEventListener('click', () => step(1));

  if (shown < report.samples) {
    $('left-out').hidden = false;
    $('left-out').textContent = `This report shows ${shown} of ${report.samples} inputs, so that it stays small enough to open. The others are in the folder that it was made from.`;
  }
  if (samples.length > 1) {
    $('gallery').hidden = false;
    document.body.classList.add('many');
    $('find').addEventListener('input', list);
    $('order').addEventListener('input', list);
    $('thumbs').addEventListener('keydown', (event) => {
      const columns = Math.max(1, Math.round($('thumbs').clientWidth / (listed[0]?.option.offsetWidth || 1)));
      const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -listed.length, End: listed.length }[event.key];
      if (!by) return;
      event.preventDefault();
      step(by)?.focus({ preventScroll: true });
    });
  }
  show();
  list();

  addEventListener('keydown', (event) => {
    const typing = event.target.closest?.('input, select, textarea');
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'n') step(1);
    if (event.key === 'p') step(-1);
  });
  addEventListener('hashchange', () => {
    if (!location.hash.includes('=')) return;
    readAddress();
    show();
    select();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', refresh);
  let width = innerWidth;
  addEventListener('resize', () => {
    if (innerWidth === width) return;
    width = innerWidth;
    if (samples.length) {
      drawFlow(target());
      refresh();
    }
  });
  if (at) $(at)?.scrollIntoView();
}

start();
