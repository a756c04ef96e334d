// The ledger as a flow chart: a row for each operator, from the output to the input. How long a bar is says how much relevance there is;
// every number is the ledger's own.

const ACCOUNTS = ['bias', 'stabilizer', 'rule'];
const SVG = $('blank').namespaceURI;

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Draws the graph beside the rows, as version control does: in which lane each node is, and the lines that come in from the row before.
function rails(nodes) {
  const lanes = [];
  const free = () => (lanes.includes(null) ? lanes.indexOf(null) : lanes.push(null) - 1);
  let strands = [];
  const rows = nodes.map((node, i) => {
    const own = lanes.includes(i) ? lanes.indexOf(i) : free();
    const lines = strands.map(({ lane, from }) => [from, lanes[lane] === i ? own : lane]);
    lanes.forEach((awaited, lane) => {
      if (awaited === i) lanes[lane] = null;
    });
    strands = lanes.flatMap((awaited, lane) => (awaited === null ? [] : [{ lane, from: lane }]));
    lanes[own] = null;
    for (const input of new Set(node.inputs)) {
      let lane = lanes.indexOf(input);
      if (lane < 0) {
        lane = lanes[own] === null ? own : free();
        lanes[lane] = input;
      }
      strands.push({ lane, from: own });
    }
    return { own, lines };
  });
  return { rows, width: lanes.length };
}

// How wide a text of the chart is.
const measure = document.createElement('canvas').getContext('2d');
function widthOf(text) {
  measure.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return measure.measureText(text).width;
}

// The end of a name, as much as there is room for.
function fitted(name, room) {
  let from = 0;
  while (from < name.length - 4 && widthOf(`…${name.slice(from)}`) > room) from++;
  return from && widthOf(name) > room ? `…${name.slice(from)}` : name;
}

const graph = rails(report.nodes);
const consumers = report.nodes.map(() => 0);
for (const node of report.nodes) for (const input of new Set(node.inputs)) consumers[input]++;

// Amounts below this are rounding.
let least = 0;

// The accounts between received and propagated, step by step: additions first, then absorptions.
function steps([received, , ...taken]) {
  let level = received;
  const named = ACCOUNTS.map((account, k) => ({ account, amount: taken[k], added: taken[k] * received < 0 })).filter(({ amount }) => Math.abs(amount) > least);
  return named.sort((a, b) => b.added - a.added).map((step) => ({ ...step, from: level, to: (level -= step.amount) }));
}

// The bars of one row: received and propagated; additions above, absorptions below.
function bars(x, y, height, line) {
  const [received, propagated] = line;
  const from = (a, b) => ({ x: Math.min(x(a), x(b)), width: Math.max(Math.abs(x(a) - x(b)), 0.5) });
  const strip = height > 12 ? 4 : 0;
  const made = [
    svg('rect', { class: 'received', y, height, ...from(0, received) }),
    svg('rect', { class: 'propagated', y: y + (strip || 2), height: Math.max(height - (2 * strip || 4), 2), ...from(0, propagated) }),
  ];
  for (const step of steps(line)) {
    const top = strip && !step.added ? y + height - strip : y;
    made.push(svg('rect', { class: step.account, y: top, height: strip || height, ...from(step.from, step.to) }));
  }
  return made;
}

function describe(name, [received, propagated, ...taken]) {
  const parts = ACCOUNTS.map((account, k) => taken[k] && `${account} ${taken[k] > 0 ? 'absorbed' : 'added'} ${short(Math.abs(taken[k]))}`);
  return `${name}: ${short(received)} received, ${short(propagated)} propagated${parts.filter(Boolean).map((part) => `, ${part}`).join('')}`;
}

function drawFlow(target) {
  const { ledger, totals } = target;
  const known = ledger.length > 0;
  for (const id of ['chart', 'key', 'ledger']) $(id).hidden = !known;
  const { start, input } = totals;
  const took = [['biases', totals.bias], ['stabilizers', totals.stabilizer], ['rules', totals.rule]].flatMap(([who, part]) => {
    if (!part) return [];
    return [`${who} ${part * start > 0 ? 'absorbed' : 'added'} ${short(Math.abs(part))} (${percent(Math.abs(part), Math.abs(start))})`];
  });
  const summary = `The walk starts with ${short(start)} at ${target.title}; the input receives ${short(input)} (${percent(input, start)})`;
  $('flow-text').textContent = `${[summary, ...took].join('; ')}.${known ? '' : ' There is no ledger layer by layer, so there is no chart.'}`;
  if (!known) return;

  const lines = ledger.map((line) => line.map((v) => v ?? 0));
  const whole = [totals.start, totals.input, totals.bias, totals.stabilizer, totals.rule].map((v) => v ?? 0);
  const moved = lines.reduce((most, line) => Math.max(most, ...line.map(Math.abs)), Math.abs(whole[0]));
  least = 1e-6 * moved;
  const important = (line) => steps(line).length > 0;
  const full = (i) => state.all || report.nodes[i].index !== null || important(lines[i]) || i === 0 || report.nodes[i].inputs.length !== 1;

  const width = Math.max($('chart').clientWidth - 2, 280);
  const narrow = width < 640;
  const lane = Math.min(10, 90 / Math.max(1, graph.width));
  const left = 12 + graph.width * lane;
  const longest = report.nodes.reduce((most, { name, op }, i) => (full(i) ? Math.max(most, widthOf(name + op)) : most), 90);
  const names = narrow ? 0 : Math.min(longest + 24, width * 0.36);
  const amounts = narrow ? 0 : 220;
  const [tall, thin, gap] = [narrow ? 40 : 26, 7, 3];

  const ends = [whole, ...lines].flatMap((line) => [line[0], line[1], ...steps(line).map(({ to }) => to)]);
  const low = Math.min(0, ...ends);
  const high = Math.max(0, ...ends, low + 1e-30);
  const area = [left + names + 6, width - amounts - 12];
  const x = (v) => area[0] + ((v - low) / (high - low)) * (area[1] - area[0]);

  const drawn = [];
  const text = (className, at, y, content, anchor = 'start') => svg('text', { class: className, x: at, y, 'text-anchor': anchor }, content);
  const row = (y, height, { name, op, rule }, line, bold = false) => {
    const group = svg('g', { class: bold ? 'row total' : 'row' }, svg('title', {}, describe(rule ? `${name} (${rule})` : name, line)));
    group.append(svg('rect', { class: 'hover', x: 0, y, width, height }));
    if (height > 12) {
      const taken = ACCOUNTS.flatMap((account, k) => (Math.abs(line[2 + k]) > 0.005 * Math.abs(moved) ? [[account, line[2 + k]]] : []));
      // Where there is no room for words, colours and the table have to do.
      const words = narrow ? [] : taken;
      const base = y + (narrow ? 13 : 16);
      const amount = svg('text', { class: 'amount', x: narrow ? width - 12 : area[1] + 8, y: base, 'text-anchor': narrow ? 'end' : 'start' });
      amount.append(short(line[0]));
      for (const [account, v] of words) amount.append(svg('tspan', { class: account, dx: 8 }, `${account === 'stabilizer' ? 'stab.' : account} ${short(v)}`));
      const room = (narrow ? width - left - 78 : names - 12) - widthOf(op) - 6;
      const label = text('name', left + (narrow ? 11 : 2), base, fitted(name, room));
      label.append(svg('tspan', { class: 'op', dx: 6 }, op));
      group.append(label, amount);
      group.append(...bars(x, narrow ? y + 18 : y + 2, narrow ? 18 : height - 4, line));
    } else group.append(...bars(x, y, height, line));
    drawn.push(group);
  };

  let y = 4;
  row(y, tall, { name: 'the whole walk', op: '', rule: '' }, whole, true);
  y += tall + 8;
  drawn.push(svg('line', { class: 'rule-off', x1: 0, x2: width, y1: y - 4, y2: y - 4 }));
  const at = (k) => 8 + k * lane;
  let before = 0;
  const railings = [];
  report.nodes.forEach((node, i) => {
    const height = full(i) ? tall : thin;
    const middle = y + (narrow && height > 12 ? 9 : height / 2);
    for (const [from, to] of graph.rows[i].lines) {
      railings.push(svg('path', { class: 'rail', d: `M${at(from)},${before}C${at(from)},${(before + middle) / 2} ${at(to)},${(before + middle) / 2} ${at(to)},${middle}` }));
    }
    // If all propagated relevance goes to the next row, the two bars are one band.
    if (node.inputs.length === 1 && node.inputs[0] === i + 1 && consumers[i + 1] === 1) {
      const end = lines[i][1];
      const [start, length] = [y + height - 2, narrow && full(i + 1) ? gap + 20 : gap + 4];
      drawn.push(svg('rect', { class: 'band', x: Math.min(x(0), x(end)), width: Math.abs(x(end) - x(0)), y: start, height: length }));
    }
    row(y, height, node, lines[i]);
    railings.push(svg('circle', { class: node.index === null ? 'node' : 'node weighted', cx: at(graph.rows[i].own), cy: middle, r: height > 12 ? 3.5 : 2 }));
    before = middle;
    y += height + gap;
  });
  const zero = svg('line', { class: 'zero', x1: x(0), x2: x(0), y1: 4, y2: y });
  const chart = svg('svg', { width, height: y + 4, role: 'img', 'aria-labelledby': 'flow-text' }, ...drawn, zero, ...railings);
  $('chart').replaceChildren(chart);
  $('ledger').querySelector('.scroll').replaceChildren(ledgerTable(target, whole, lines));
}

function ledgerTable(target, whole, lines) {
  const headings = ['index', 'name', 'operator', 'received', 'propagated', 'bias', 'stabilizer', 'rule'];
  const head = element('thead', {}, element('tr', {}, ...headings.map((heading, i) => element('th', i > 2 ? { scope: 'col', class: 'number' } : { scope: 'col' }, heading))));
  const line = (index, name, op, numbers) =>
    element('tr', {}, element('td', {}, index ?? ''), element('th', { scope: 'row' }, name), element('td', {}, op), ...numbers.map((v) => element('td', { class: 'number', title: String(v) }, short(v))));
  const rows = report.nodes.map((node, i) => line(node.index, node.name, node.op, lines[i]));
  const caption = element('caption', {}, `Ledger of ${target.title}: received = propagated + bias + stabilizer + rule`);
  return element('table', {}, caption, head, element('tbody', {}, line(null, 'the whole walk', '', whole), ...rows));
}
