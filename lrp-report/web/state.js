// What is open and how it is shown. It stands in the address too (#open=3&map=seismic), so that a view can be linked to.

const defaults = {
  open: 1,
  target: 1,
  channel: 0,
  map: report.palette,
  clip: 100,
  gain: 0,
  overlay: 0,
  zoom: 0,
  theme: 'auto',
  all: 0,
};
const state = { ...defaults };

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const key of Object.keys(defaults)) {
    if (!given.has(key)) continue;
    const text = given.get(key);
    if (typeof defaults[key] === 'string') state[key] = text;
    else if (Number.isFinite(Number(text))) state[key] = Number(text);
  }
  if (given.has('gain')) state.gain = Math.log2(Math.max(1, Number(given.get('gain')) || 1));
  if (given.has('zoom')) state.zoom = Math.log2(Math.max(1, Number(given.get('zoom')) || 1));
  return given.get('at');
}

function writeAddress() {
  const given = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    if (value === defaults[key]) continue;
    given.set(key, key === 'gain' || key === 'zoom' ? factor(value).toPrecision(3) : value);
  }
  // Some browsers forbid it for files.
  try {
    history.replaceState(null, '', given.size ? `#${given}` : location.pathname + location.search);
  } catch {}
}

// Gain and zoom are set as powers of two.
const factor = (power) => 2 ** power;

function setTheme() {
  if (!['light', 'dark'].includes(state.theme)) state.theme = 'auto';
  document.documentElement.dataset.theme = state.theme;
  $('theme').value = state.theme;
}
