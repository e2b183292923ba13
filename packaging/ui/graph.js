// SPDX-License-Identifier: Apache-2.0
//
// The first part of the page's script: samples, the tree they make, and its flame graph. It is plain
// JavaScript, which every browser of 2021 and later runs.

'use strict';

const $ = id => document.getElementById(id);
const source = '<!doctype html>\n' + document.documentElement.outerHTML;  // for Save, before it changes
const embedded = JSON.parse($('data').textContent);  // null: a server has the profiles
const rowHeight = 18;

const state = {
  profile: null,  // as the server gave it
  base: null,     // an earlier one to compare with
  tree: null, zoom: null, selected: null,
  rows: [],       // what is drawn: for each depth, rectangles from left to right
  functions: [], sortBy: 'flat',
  matches: null,  // name => boolean; null: nothing is searched
  request: null,  // AbortController of the fetch under way
};

// ---- numbers and names

const steps = {
  bytes: [[2 ** 30, 'GB'], [2 ** 20, 'MB'], [2 ** 10, 'kB'], [1, 'B']],
  nanoseconds: [[1e9, 's'], [1e6, 'ms'], [1e3, 'µs'], [1, 'ns']],
};

function human(value, unit) {
  for (const [size, name] of steps[unit] || []) {
    if (Math.abs(value) >= size) return (value / size).toFixed(size > 1 ? 2 : 0) + name;
  }
  return steps[unit] ? '0' : value.toLocaleString('en');
}

const unit = () => state.profile.sample_types[$('type').selectedIndex].unit;
const shown = value => human(value, unit());
const percent = (value, of) => (of ? 100 * value / of : 0).toFixed(2) + '%';
const signed = value => (value > 0 ? '+' : '') + shown(value);

// ---- samples

// For each frame of a profile: whether it is dropped, and whether it is hidden. Computed once.
const matched = new WeakMap();
function matchesOf(profile) {
  if (!matched.has(profile)) {
    const patterns = [`^(${profile.drop_frames})$`, profile.hide_frames].map(text => new RegExp(text));
    matched.set(profile, patterns.map(p => profile.frames.map(f => p.test(f.name))));
  }
  return matched.get(profile);
}

// The place in a stack, leaf first, where the shown part begins: after the outermost dropped frame,
// if a caller is left, and after the hidden frames at the leaf, unless nothing else is left.
function firstShown(profile, stack) {
  if (!profile.drop_frames) return 0;
  const [dropped, hidden] = matchesOf(profile);
  let first = stack.length - 1;
  while (first > 0 && dropped[stack[first]]) --first;
  while (first > 0 && !dropped[stack[first - 1]]) --first;
  return $('containers').checked ? first : Math.max(first, stack.findIndex((f, i) => i >= first && !hidden[f]));
}

// A sample's frames, leaf first. If inlined frames are not shown, they count for the function they
// were inlined into.
function frames(profile, sample) {
  const all = sample.stack.slice(firstShown(profile, sample.stack)).map(i => profile.frames[i]);
  return $('inlined').checked ? all : all.filter(f => !f.inlined);
}

function isWanted(sample) {
  const wanted = $('filter').value;
  if (!wanted) return true;
  const [key, value] = JSON.parse(wanted);
  return (sample.labels || {})[key] === value;
}

// Calls visit(frames leaf first, value, sample) for each sample that counts.
function forEachSample(profile, visit) {
  const name = $('type').value;
  const type = profile.sample_types.findIndex(t => t.type === name);
  if (type < 0) return;
  for (const sample of profile.samples) {
    if (sample.values[type] && isWanted(sample)) visit(frames(profile, sample), sample.values[type], sample);
  }
}

// ---- the tree: `now` and `base` are the sums of two moments

function newNode(frame, parent) {
  return { frame, parent, now: 0, base: 0, self: 0, children: new Map(), depth: parent ? parent.depth + 1 : 0 };
}

function childOf(node, frame) {
  let child = node.children.get(frame.name);
  if (!child) node.children.set(frame.name, child = newNode(frame, node));
  return child;
}

function addToTree(root, profile, moment) {
  const group = $('group').value;
  forEachSample(profile, (stack, value, sample) => {
    const path = $('reversed').checked ? stack : stack.slice().reverse();
    if (group) path.unshift({ name: `${group}=${(sample.labels || {})[group] ?? ''}`, file: '', line: 0 });
    const leaf = $('reversed').checked ? path.length - stack.length : path.length - 1;
    let node = root;
    node[moment] += value;
    path.forEach((frame, i) => {
      node = childOf(node, frame);
      node[moment] += value;
      if (i === leaf && moment === 'now') node.self += value;
    });
  });
}

function sortTree(node) {
  node.sorted = [...node.children.values()].filter(c => c.now > 0).sort((a, b) => b.now - a.now);
  node.sorted.forEach(sortTree);
}

function buildTree() {
  const root = newNode({ name: 'all', file: '', line: 0 }, null);
  addToTree(root, state.profile, 'now');
  if (state.base) addToTree(root, state.base, 'base');
  sortTree(root);
  return root;
}

// The node of another tree at the place of `node`; the tree itself if it has none there.
function sameIn(tree, node) {
  if (!node || !node.parent) return tree;
  const child = sameIn(tree, node.parent).children.get(node.frame.name);
  return child && child.now ? child : tree;
}

// ---- the flame graph

// The rectangles above `top`, as wide as it, and of everything below it.
function layOut(top, width) {
  const rows = [];
  for (let node = top; node; node = node.parent) rows[node.depth] = [{ node, x: 0, w: width }];
  const place = (node, x, w) => {
    for (const child of node.sorted) {
      const part = node.now ? w * child.now / node.now : 0;
      if (part < 0.5) break;  // they are sorted: the rest is narrower
      (rows[child.depth] ||= []).push({ node: child, x, w: part });
      place(child, x, part);
      x += part;
    }
  };
  place(top, 0, width);
  return rows;
}

function hashOf(text) {
  let h = 0;
  for (let i = 0; i < text.length; ++i) h = (h * 31 + text.charCodeAt(i)) | 0;
  return (h >>> 0) % 1000 / 1000;
}

// A namespace has a hue, a function a lightness, all in one warm family.
function colourOf(node) {
  const name = node.frame.name;
  if (state.matches && state.matches(name)) return '#a21caf';
  if (state.base) {
    const change = (node.now - node.base) / Math.max(node.now, node.base, 1);
    if (Math.abs(change) < 0.005) return '#d9d9d9';
    return `hsl(${change > 0 ? 30 : 210} 80% ${90 - 25 * Math.abs(change)}%)`;
  }
  if (!node.parent || name.startsWith('[')) return '#d0d3d6';
  const space = name.replace(/<.*/, '').split('::')[0];
  return `hsl(${25 + 30 * hashOf(space)} 75% ${70 + 14 * hashOf(name)}%)`;
}

function drawRectangle(context, { node, x, w }, y) {
  context.globalAlpha = node.depth < state.zoom.depth ? 0.6 : 1;
  context.fillStyle = colourOf(node);
  context.fillRect(x, y, Math.max(w - 0.6, 0.5), rowHeight - 1);
  if (node === state.selected) {
    context.strokeStyle = '#000';
    context.lineWidth = 2;
    context.strokeRect(x + 1, y + 1, Math.max(w - 3, 1), rowHeight - 3);
  }
  if (w < 24) return;
  context.fillStyle = state.matches && state.matches(node.frame.name) ? '#fff' : '#1b1f24';
  const letters = Math.floor((w - 6) / 6.7);
  const name = node.frame.name;
  context.fillText(name.length <= letters ? name : name.slice(0, letters - 1) + '…', x + 3, y + 13);
}

function draw() {
  const canvas = $('flame');
  if (!state.tree || canvas.hidden) return;
  const width = canvas.clientWidth;
  state.rows = layOut(state.zoom, width);
  const height = state.rows.length * rowHeight;
  const density = window.devicePixelRatio || 1;
  canvas.width = width * density;
  canvas.height = height * density;
  canvas.style.height = height + 'px';
  const context = canvas.getContext('2d');
  context.scale(density, density);
  context.font = '11px ui-monospace, monospace';
  state.rows.forEach((row, depth) => {
    for (const rectangle of row) drawRectangle(context, rectangle, depth * rowHeight);
  });
}
