// SPDX-License-Identifier: Apache-2.0
//
// What the page that shows a flame graph is made of. Made by packaging/make_page.py of the files in
// packaging/ui/: change those, not this.
#ifndef WHENCE_UI_PAGE_HPP
#define WHENCE_UI_PAGE_HPP

namespace whence::inline v1::ui {

inline constexpr char style[] = R"page(:root {
color-scheme: light dark;
--ground: #fff; --text: #1b1f24; --quiet: #57606a; --line: #d0d7de; --strong: #0a58ca;
}
@media (prefers-color-scheme: dark) {
:root { --ground: #14171a; --text: #e6e8ea; --quiet: #9aa4ae; --line: #3a4047; --strong: #7db3ff; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: .6rem 1rem; background: var(--ground); color: var(--text); font: 14px/1.4 system-ui, sans-serif; }
form { display: flex; flex-wrap: wrap; gap: .4rem .9rem; align-items: center; margin-bottom: .4rem; }
form > span { display: inline-flex; gap: .3rem; align-items: center; }
select, input, button { font: inherit; }
input[type=number] { width: 4.5rem; }
:focus-visible, table button:focus-visible { outline: 2px solid var(--strong); outline-offset: 1px; }
table button { all: unset; cursor: pointer; }
#message { font-weight: 600; }
#detail { min-height: 2.8em; overflow-wrap: anywhere; color: var(--quiet); }
#message:empty, [hidden] { display: none !important; }
#detail { height: 2.8em; overflow: auto; overflow-wrap: anywhere; }
canvas { display: block; width: 100%; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .15rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:last-child, td:last-child { text-align: left; white-space: normal; overflow-wrap: anywhere; width: 100%; }
tbody tr { cursor: pointer; }
.swatch { display: inline-block; width: .9em; height: .9em; vertical-align: -.1em; border: 1px solid var(--line); }
.less { background: #6aa5e0; } .same { background: #d9d9d9; } .more { background: #f2a65a; }
details { margin-top: 1em }
)page";

inline constexpr char body[] = R"page(<form id="controls">
<span id="live">
<label for="profile">Profile</label> <select id="profile"></select>
<button type="button" id="reload">Reload</button>
<label for="seconds">or</label> <input id="seconds" type="number" min="1" max="300" value="10" required aria-label="seconds"> s
<button type="button" id="record">Record</button>
<progress id="progress" max="1" value="0" hidden></progress>
<button type="button" id="cancel" hidden>Cancel</button>
<button type="button" id="keep">Keep as base</button>
<button type="button" id="drop" hidden>Drop base</button>
</span>
<span><label for="type">Type</label> <select id="type"></select></span>
<span><label for="search">Search</label> <input id="search" type="search" placeholder="/ regular expression"></span>
<span><label for="group">Group by</label> <select id="group"></select></span>
<span><label for="filter">Label</label> <select id="filter"></select></span>
<span><input id="reversed" type="checkbox"> <label for="reversed">reversed</label></span>
<span><input id="inlined" type="checkbox" checked> <label for="inlined">inlined frames</label></span>
<span><input id="containers" type="checkbox"> <label for="containers">containers</label></span>
<span><label for="view">View</label> <select id="view"><option value="flame">flame graph</option><option value="top">top</option></select></span>
<button type="button" id="save">Save</button>
</form>
<div id="message" role="alert"></div>
<div id="summary"></div>
<div id="legend" hidden>Colour, against the base: <span class="swatch less"></span> less <span class="swatch same"></span> the same <span class="swatch more"></span> more. What is gone: see top.</div>
<div id="detail" aria-live="polite"></div>
<canvas id="flame" tabindex="0" role="img" aria-label="Flame graph: arrows move, Enter zooms, Escape shows all"></canvas>
<table id="top" hidden>
<thead><tr>
<th><button type="button" class="sort" data-by="flat">flat</button></th><th>flat%</th>
<th><button type="button" class="sort" data-by="cum">cum</button></th><th>cum%</th>
<th id="delta-head"><button type="button" class="sort" data-by="delta">delta</button></th>
<th><button type="button" class="sort" data-by="name">function</button></th>
</tr></thead>
<tbody id="rows"></tbody>
</table>
<details><summary>Comments</summary><ul id="comments"></ul></details>
)page";

inline constexpr char script[] = R"page('use strict';
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
const matched = new WeakMap();
function matchesOf(profile) {
if (!matched.has(profile)) {
const patterns = [`^(${profile.drop_frames})$`, profile.hide_frames].map(text => new RegExp(text));
matched.set(profile, patterns.map(p => profile.frames.map(f => p.test(f.name))));
}
return matched.get(profile);
}
function firstShown(profile, stack) {
if (!profile.drop_frames) return 0;
const [dropped, hidden] = matchesOf(profile);
let first = stack.length - 1;
while (first > 0 && dropped[stack[first]]) --first;
while (first > 0 && !dropped[stack[first - 1]]) --first;
return $('containers').checked ? first : Math.max(first, stack.findIndex((f, i) => i >= first && !hidden[f]));
}
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
function forEachSample(profile, visit) {
const name = $('type').value;
const type = profile.sample_types.findIndex(t => t.type === name);
if (type < 0) return;
for (const sample of profile.samples) {
if (sample.values[type] && isWanted(sample)) visit(frames(profile, sample), sample.values[type], sample);
}
}
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
function sameIn(tree, node) {
if (!node || !node.parent) return tree;
const child = sameIn(tree, node.parent).children.get(node.frame.name);
return child && child.now ? child : tree;
}
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
function sumFunctions() {
const all = new Map();
const add = (profile, moment) => forEachSample(profile, (stack, value) => {
const sum = ({ name, full = name }) => {
if (!all.has(name)) all.set(name, { name, fulls: new Set(), flat: 0, cum: 0, base: 0, delta: 0 });
all.get(name).fulls.add(full);
return all.get(name);
};
if (moment === 'now') sum(stack[0]).flat += value;
for (const f of new Set(stack.map(sum))) f[moment === 'now' ? 'cum' : 'base'] += value;
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
const wanted = state.functions.filter(f => !state.matches || state.matches(f.name));
const rows = wanted.sort(order).slice(0, 500).map(f => {
const row = document.createElement('tr');
const cells = [shown(f.flat), percent(f.flat, total), shown(f.cum), percent(f.cum, total)];
if (state.base) cells.push(signed(f.delta));
for (const text of cells) row.insertCell().textContent = text;
const name = document.createElement('button');
name.textContent = f.name;
name.title = [...f.fulls].slice(0, 20).join('\n');
row.insertCell().append(name);
row.addEventListener('click', () => searchFor(f.name));
return row;
});
$('rows').replaceChildren(...rows);
$('delta-head').hidden = !state.base;
}
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
function option(value, text = value) {
const o = document.createElement('option');
o.value = value;
o.textContent = text;
return o;
}
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
async function fetchJson(path, signal) {
const reply = await fetch(path, { signal });
if (!reply.ok) throw new Error(`${reply.status}: ${await reply.text()}`);
return reply.json();
}
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
)page";

}  // namespace whence::inline v1::ui

#endif  // WHENCE_UI_PAGE_HPP
