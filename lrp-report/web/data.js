// What the file holds: the report, its samples, and their arrays of numbers.

const $ = (id) => document.getElementById(id);

const parsed = (element) => {
  const value = JSON.parse(element.textContent);
  element.remove();
  return value;
};

const report = parsed($('report'));
const { shown } = parsed($('end'));
const samples = [...document.querySelectorAll('script.sample')].map(parsed);

function bytes(text) {
  const raw = atob(text);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

// An array of numbers: in single precision, or a byte each, ±√(|v| / max).
function decoded(array) {
  if (array.f32 !== undefined) return new Float32Array(bytes(array.f32).buffer);
  const codes = new Int8Array(bytes(array.q8).buffer);
  const step = array.max / (127 * 127);
  return Float32Array.from(codes, (q) => q * Math.abs(q) * step);
}

// A number in at most seven characters or so, with a real minus sign.
function short(value) {
  if (value === null || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  let text;
  if (size === 0) text = '0';
  else if (size < 1e-3 || size >= 1e5) text = value.toExponential(1).replace('e+', 'e');
  else text = value.toFixed(size >= 100 ? 1 : size >= 1 ? 2 : 3);
  return text.replaceAll('-', '−');
}

function percent(part, whole) {
  if (!whole) return '–';
  const share = (100 * part) / whole;
  return Math.abs(share) < 0.1 && share ? 'less than 0.1 %' : `${share.toFixed(1).replace('-', '−')} %`;
}

// A new element with attributes, and text or children. Text is never read as HTML.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
