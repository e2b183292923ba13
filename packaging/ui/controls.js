// SPDX-License-Identifier: Apache-2.0
//
// The last part of the script: what is shown, the server, and the controls.

// ---- what is shown, as the controls say

function option(value, text = value) {
  const o = document.createElement('option');
  o.value = value;
  o.textContent = text;
  return o;
}

// Keeps the chosen option if it still exists.
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

function search() {
  if (!state.tree) return;
  state.matches = matcher($('search').value);
  $('summary').textContent = summary();
  draw();
}

function refresh() {
  if (!state.profile) return;
  state.tree = buildTree();
  state.zoom = sameIn(state.tree, state.zoom);
  state.selected = null;
  const isTable = $('view').value === 'top';
  $('flame').hidden = isTable;
  $('top').hidden = !isTable;
  $('legend').hidden = $('drop').hidden = !state.base;
  $('detail').textContent = '';
  if (isTable) {
    state.functions = sumFunctions();
    fillTable();
  }
  search();
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
  $('containers').parentElement.hidden = !profile.hide_frames;
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

// Loads a profile of now, or a window of as many seconds as the field says. One request runs at a
// time, and the last one is shown.
async function load(isWindow, type) {
  let seconds = 0;
  if (isWindow || $('profile').selectedOptions[0].dataset.window) {
    if (!$('seconds').reportValidity()) return;
    seconds = Number($('seconds').value);
  }
  const path = $('profile').value.split('/').map(encodeURIComponent).join('/');
  if (state.request) state.request.abort();
  const request = state.request = new AbortController();
  const begin = performance.now();
  const hideProgress = isHidden => { $('progress').hidden = $('cancel').hidden = isHidden; };
  const timer = setInterval(() => {
    if (seconds && state.request === request) $('progress').value = (performance.now() - begin) / 1000 / seconds;
  }, 100);
  hideProgress(!seconds);
  $('progress').value = 0;
  $('message').textContent = '';
  try {
    const profile = await fetchJson(`${path}?format=json${seconds ? `&seconds=${seconds}` : ''}`, request.signal);
    if (state.request === request) show(profile, type);
  } catch (error) {
    if (error.name !== 'AbortError') $('message').textContent = error.message;
  }
  clearInterval(timer);
  if (state.request === request) hideProgress(true);
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
  await load(false, wanted.get('type'));
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

for (const id of ['type', 'group', 'filter', 'reversed', 'inlined', 'containers', 'view']) {
  $(id).addEventListener('change', refresh);
}
$('search').addEventListener('input', search);
$('profile').addEventListener('change', () => load(false));
$('reload').addEventListener('click', () => load(false));
$('record').addEventListener('click', () => load(true));
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
