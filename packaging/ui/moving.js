// SPDX-License-Identifier: Apache-2.0
//
// The second part of the script: moving about the flame graph, by mouse and by keys.

function nodeAt(event) {
  const row = state.rows[Math.floor(event.offsetY / rowHeight)] || [];
  const hit = row.find(r => event.offsetX >= r.x && event.offsetX < r.x + r.w);
  return hit && hit.node;
}

function describe(node) {
  const { frame, now, base, self } = node;
  const parts = [frame.full || frame.name];
  if (frame.file) parts.push(`${frame.file}:${frame.line}`);
  parts.push(`${shown(now)}, ${percent(now, state.tree.now)} of all; itself ${shown(self)}`);
  if (state.base) parts.push(`${signed(now - base)} against ${shown(base)}`);
  $('detail').textContent = parts.join(' — ');
}

function select(node) {
  if (!node) return;
  state.selected = node;
  describe(node);
  draw();
}

function zoomTo(node) {
  state.zoom = node;
  select(node);
}

// Only drawn rectangles can be reached.
const drawn = depth => (state.rows[depth] || []).map(r => r.node);

function neighbour(node, step) {
  const row = drawn(node.depth);
  return row[row.indexOf(node) + step];
}

function scrollToNode(node) {
  const top = $('flame').getBoundingClientRect().top + node.depth * rowHeight;
  if (top < 0 || top + rowHeight > innerHeight) scrollBy(0, top - innerHeight / 2);
}

function onKey(event) {
  const node = drawn((state.selected || state.zoom).depth).find(n => n === state.selected) || state.zoom;
  const moves = {
    ArrowUp: () => select(node.parent),
    ArrowDown: () => select(drawn(node.depth + 1).find(n => n.parent === node)),
    ArrowLeft: () => select(neighbour(node, -1)), ArrowRight: () => select(neighbour(node, 1)),
    Enter: () => zoomTo(node),
  };
  if (!moves[event.key]) return;
  event.preventDefault();
  moves[event.key]();
  scrollToNode(state.selected || node);
}
