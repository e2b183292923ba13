// SPDX-License-Identifier: Apache-2.0
//
// The second half of the page's script: the table, the search, the server, and the controls.
#ifndef WHENCE_FORMAT_PAGE_CONTROLS_HPP
#define WHENCE_FORMAT_PAGE_CONTROLS_HPP

namespace whence::inline v1::format::page {

inline constexpr char controls[] = R"page(
// ---- the table

function sumFunctions() {
  const all = new Map();
  const add = (profile, moment) => forEachSample(profile, (stack, value) => {
    const sum = name => {
      if (!all.has(name)) all.set(name, { name, flat: 0, cum: 0, base: 0, delta: 0 });
      return all.get(name);
    };
    if (moment === 'now') sum(stack[0].name).flat += value;
    for (const name of new Set(stack.map(f => f.name))) sum(name)[moment === 'now' ? 'cum' : 'base'] += value;
  });
  add(state.profile, 'now');
  if (state.base) add(state.base, 'base');
  for (const f of all.values()) f.delta = f.cum - f.base;
  return [...all.values()];
}

function fillTable() {
  const by = state.sortBy;
  const order = by === 'name' ? (a, b) => a.name.localeCompare(b.name)
    : by === 'delta' ? (a, b) => Math.abs(b.delta) - Math.abs(a.delta) : (a, b) => b[by] - a[by];
  const total = state.tree.now;
  const rows = [...state.functions].sort(order).slice(0, 500).map(f => {
    const row = document.createElement('tr');
    const cells = [shown(f.flat), percent(f.flat, total), shown(f.cum), percent(f.cum, total)];
    if (state.base) cells.push(signed(f.delta));
    for (const text of [...cells, f.name]) row.insertCell().textContent = text;
    row.addEventListener('click', () => searchFor(f.name));
    return row;
  });
  $('rows').replaceChildren(...rows);
  $('delta-head').hidden = !state.base;
}

// ---- search

function searchFor(name) {
  $('search').value = '^' + name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&') + '$';
  $('view').value = 'flame';
  refresh();
}

function matcher(text) {
  if (!text) return null;
  try {
    const pattern = new RegExp(text);
    return name => pattern.test(name);
  } catch {
    return name => name.includes(text);
  }
}

function matchedValue() {
  let sum = 0;
  forEachSample(state.profile, (stack, value) => {
    if (stack.some(f => state.matches(f.name))) sum += value;
  });
  return sum;
}

// ---- what is shown, as the controls say

function option(value, text = value) {
  const o = document.createElement('option');
  o.value = value;
  o.textContent = text;
  return o;
}

// Keeps what was chosen where it is still there.
function fill(list, options, chosen = list.value) {
  list.replaceChildren(...options);
  if (options.some(o => o.value === chosen)) list.value = chosen;
}

function fillLabels() {
  const pairs = new Map();
  for (const { labels = {} } of state.profile.samples) {
    for (const pair of Object.entries(labels)) pairs.set(JSON.stringify(pair), pair);
  }
  const keys = new Set([...pairs.values()].map(([key]) => key));
  fill($('group'), [option('', 'nothing'), ...[...keys].sort().map(key => option(key))]);
  const all = [...pairs].slice(0, 1000).map(([json, [key, value]]) => option(json, `${key}=${value}`));
  fill($('filter'), [option('', 'all'), ...all]);
}

function summary() {
  const { profile, duration, time } = state.profile;
  const when = new Date(time * 1000).toLocaleTimeString();
  let text = `${profile}, ${when}: ${shown(state.tree.now)}`;
  if (duration) text += ` in ${duration.toFixed(2)} s`;
  if (state.base) text += `; ${signed(state.tree.now - state.tree.base)} against the base`;
  if (state.matches) text += `; matched: ${percent(matchedValue(), state.tree.now)} (${shown(matchedValue())})`;
  if (!state.tree.now) text += '. Nothing is recorded, or its rate is 0.';
  return text;
}

function refresh() {
  if (!state.profile) return;
  state.matches = matcher($('search').value);
  state.tree = buildTree();
  state.zoom = state.tree;
  state.selected = null;
  const isTable = $('view').value === 'top';
  $('flame').hidden = isTable;
  $('top').hidden = !isTable;
  $('legend').hidden = $('drop').hidden = !state.base;
  $('detail').textContent = '';
  $('summary').textContent = summary();
  if (isTable) {
    state.functions = sumFunctions();
    fillTable();
  }
  draw();
  if (!embedded) {
    const kept = { profile: $('profile').value, type: $('type').value, view: $('view').value };
    history.replaceState(null, '', '#' + new URLSearchParams(kept));
  }
}

function show(profile, type) {
  const same = state.profile && state.profile.profile === profile.profile;
  if (!same) state.base = null;
  const types = profile.sample_types.map(t => option(t.type));
  fill($('type'), types, type || (same ? $('type').value : profile.sample_types[profile.shown].type));
  state.profile = profile;
  fillLabels();
  $('comments').replaceChildren(...profile.comments.map(line => {
    const item = document.createElement('li');
    item.textContent = line;
    return item;
  }));
  refresh();
}

// ---- the server

async function fetchJson(path, signal) {
  const reply = await fetch(path, { signal });
  if (!reply.ok) throw new Error(`${reply.status}: ${await reply.text()}`);
  return reply.json();
}

// Follows the clock until the answer is there.
function showProgress(seconds) {
  const begin = performance.now();
  $('progress').hidden = $('cancel').hidden = false;
  const timer = setInterval(() => {
    $('progress').value = Math.min((performance.now() - begin) / 1000 / seconds, 1);
  }, 100);
  return () => {
    clearInterval(timer);
    $('progress').hidden = $('cancel').hidden = true;
  };
}

// seconds 0: as it is now.
async function load(seconds, type) {
  const isWindow = $('profile').selectedOptions[0].dataset.window;
  if (!seconds && isWindow) seconds = Number($('seconds').value);
  const path = $('profile').value.split('/').map(encodeURIComponent).join('/');
  if (state.request) state.request.abort();
  const request = state.request = new AbortController();
  const hideProgress = seconds ? showProgress(seconds) : () => {};
  $('message').textContent = '';
  try {
    show(await fetchJson(`${path}?format=json${seconds ? `&seconds=${seconds}` : ''}`, request.signal), type);
  } catch (error) {
    if (error.name !== 'AbortError') $('message').textContent = error.message;
  }
  hideProgress();
}

async function start() {
  if (embedded) {
    $('live').hidden = true;
    return show(embedded);
  }
  const wanted = new URLSearchParams(location.hash.slice(1));
  const { profiles } = await fetchJson('./?format=json');
  const all = profiles.map(({ name, count, window: isWindow }) => {
    const o = option(name, isWindow ? name : `${name} (${count})`);
    if (isWindow) o.dataset.window = 'yes';
    return o;
  });
  fill($('profile'), all, wanted.get('profile') || 'heap');
  $('view').value = wanted.get('view') === 'top' ? 'top' : 'flame';
  await load(0, wanted.get('type'));
}

// ---- saving

function save() {
  const marker = '<script type="application/json" id="data">';
  const at = source.indexOf(marker) + marker.length;
  const data = JSON.stringify(state.profile).replace(/</g, '\\u003c');
  const rest = source.slice(source.indexOf('</' + 'script>', at));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([source.slice(0, at), data, rest], { type: 'text/html' }));
  link.download = 'profile.html';
  link.click();
}

// ---- the controls

for (const id of ['type', 'group', 'filter', 'reversed', 'inlined', 'view']) {
  $(id).addEventListener('change', refresh);
}
$('search').addEventListener('input', refresh);
$('profile').addEventListener('change', () => load(0));
$('reload').addEventListener('click', () => load(0));
$('record').addEventListener('click', () => load(Number($('seconds').value)));
$('cancel').addEventListener('click', () => state.request.abort());
$('keep').addEventListener('click', () => { state.base = state.profile; refresh(); });
$('drop').addEventListener('click', () => { state.base = null; refresh(); });
$('save').addEventListener('click', save);
$('controls').addEventListener('submit', event => event.preventDefault());
for (const button of document.querySelectorAll('button.sort')) {
  button.addEventListener('click', () => { state.sortBy = button.dataset.by; fillTable(); });
}
$('flame').addEventListener('mousemove', event => { const node = nodeAt(event); if (node) describe(node); });
$('flame').addEventListener('click', event => { const node = nodeAt(event); if (node) zoomTo(node); });
$('flame').addEventListener('keydown', onKey);
document.addEventListener('keydown', event => {
  if (event.key === 'Escape' && state.tree) zoomTo(state.tree);
  if (event.key === '/' && !/INPUT|SELECT/.test(event.target.tagName)) {
    event.preventDefault();
    $('search').focus();
  }
});
window.addEventListener('resize', draw);

start().catch(error => { $('message').textContent = error.message; });
)page";

}  // namespace whence::inline v1::format::page

#endif  // WHENCE_FORMAT_PAGE_CONTROLS_HPP
