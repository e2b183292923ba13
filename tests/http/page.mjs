// SPDX-License-Identifier: Apache-2.0
//
// The page in a real Chromium: node page.mjs URL FOLDER FILES, where URL is /debug/pprof/ of a server,
// FOLDER gets screenshots and the saved page, and FILES has heap.pb.gz and flamegraph.html, written one
// after the other by a program whose heap stood still. Fails on the first thing that is wrong, and on
// every error the browser reports, its Content-Security-Policy's included.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { chromium } = createRequire(import.meta.url)('playwright-core');
const [url, folder, files] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);
assert(executablePath, 'no chromium');
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, acceptDownloads: true });

async function open(address) {
  const page = await context.newPage();
  page.on('console', m => assert(m.type() !== 'error', `console: ${m.text()}`));
  page.on('pageerror', e => assert.fail(`page: ${e.message}`));
  await page.goto(address);
  await page.waitForFunction(() => document.getElementById('summary').textContent);
  return page;
}

let checks = 0;
function check(what, condition) {
  assert(condition, what);
  ++checks;
  console.log(`ok ${checks} ${what}`);
}

const total = page => page.evaluate(() => state.tree.now);
const rectangles = page => page.evaluate(() => state.rows.flatMap((row, depth) =>
  row.map(({ node, x, w }) => ({ name: node.frame.name, x, y: depth * rowHeight, w }))));
const sumOf = (profile, type) => profile.samples.reduce((sum, s) => sum + s.values[type], 0);
async function loaded(page, action) {
  await page.evaluate(() => { state.profile.isOld = true; });
  await action();
  await page.waitForFunction(() => !state.profile.isOld, null, { timeout: 20000 });
}

const page = await open(`${url}ui#profile=block`);

check('the page opens the profile its address names', await page.inputValue('#profile') === 'block');
check('and the type that clients show first', await page.inputValue('#type') === 'delay');

await loaded(page, () => page.selectOption('#profile', 'heap'));
check('heap opens with inuse_space', await page.inputValue('#type') === 'inuse_space');
// The reference is the page's own data, not that of a second request.
const heap = await page.evaluate(() => state.profile);
for (const [i, { type }] of heap.sample_types.entries()) {
  await page.selectOption('#type', type);
  check(`the total of ${type} is its samples'`, await total(page) === sumOf(heap, i) && sumOf(heap, i) > 0);
}
await page.screenshot({ path: `${folder}/flame.png`, fullPage: true });

const all = await rectangles(page);
check('every rectangle lies within its parent row', all.every(r => r.x >= 0 && r.x + r.w <= 1281));
const target = all.filter(r => r.y > 36 && r.w > 30 && r.w < all[0].w * 0.99).at(-1) || all.at(-1);
await page.click('#flame', { position: { x: target.x + target.w / 2, y: target.y + 9 } });
check('a click zooms', await page.evaluate(() => state.zoom.frame.name) === target.name);
const zoomed = (await rectangles(page)).find(r => r.name === target.name && r.y === target.y);
check('and makes the frame as wide as the graph', Math.abs(zoomed.w - all[0].w) < 1);
await page.keyboard.press('Escape');
check('Escape shows all', await page.evaluate(() => state.zoom.frame.name) === 'all');

await page.focus('#flame');
await page.keyboard.press('ArrowDown');
const first = await page.evaluate(() => state.selected.frame.name);
await page.keyboard.press('ArrowDown');
const second = await page.evaluate(() => state.selected.frame.name);
await page.evaluate(() => { for (let n = 0; n < 200; ++n) onKey(new KeyboardEvent('keydown', { key: 'ArrowDown' })); });
check('keys lead to nothing that is not drawn, and the page follows', await page.evaluate(() => {
  const row = state.rows[state.selected.depth];
  const y = $('flame').getBoundingClientRect().top + state.selected.depth * rowHeight;
  return !drawn(state.selected.depth + 1).some(n => n.parent === state.selected) && row.some(r => r.node === state.selected) && y >= 0 && y < innerHeight;
}));
await page.evaluate(n => { while (state.selected.frame.name !== n || state.selected.depth > 2) select(state.selected.parent); }, second);
await page.keyboard.press('ArrowUp');
check('arrow keys move', first !== second && await page.evaluate(() => state.selected.frame.name) === first);
await page.keyboard.press('Enter');
check('Enter zooms', await page.evaluate(() => state.zoom.frame.name) === first);
await page.keyboard.press('Escape');
await page.keyboard.press('/');
check('/ goes to the search', await page.evaluate(() => document.activeElement.id) === 'search');

await page.selectOption('#type', 'alloc_space');
await page.fill('#search', '^start_thread|indexer::');
const matched = heap.samples.filter(s => s.stack.some(i => /^start_thread|indexer::/.test(heap.frames[i].name)))
  .reduce((sum, s) => sum + s.values[1], 0);
const share = (100 * matched / sumOf(heap, 1)).toFixed(2);
check(`a search counts each stack once: ${share}%`,
  (await page.textContent('#summary')).includes(`matched: ${share}%`));
await page.evaluate(() => zoomTo(state.tree.sorted[0].sorted[0]));
const kept = await page.evaluate(() => state.zoom.frame.name);
await page.fill('#search', 'alloc');
check('a search keeps the zoom', kept !== 'all' && await page.evaluate(() => state.zoom.frame.name) === kept);
await page.selectOption('#type', 'alloc_objects');
await page.selectOption('#type', 'alloc_space');
check('and another type does', await page.evaluate(() => state.zoom.frame.name) === kept);
await page.evaluate(() => zoomTo(state.tree));
await page.fill('#search', '(');
check('what is no regular expression is searched as it is',
  (await page.textContent('#summary')).includes('matched: '));
await page.fill('#search', '');

await page.check('#reversed');
check('reversed, the total is the same', await total(page) === sumOf(heap, 1));
const leavesOf = page => page.evaluate(() => {
  const names = new Set();
  forEachSample(state.profile, stack => names.add(stack[0].name));
  return [...names];
});
const leaves = new Set(await leavesOf(page));
check('and the leaves are at the root', (await rectangles(page)).filter(r => r.y === 18).every(r => leaves.has(r.name)));
const selves = await page.evaluate(() => state.tree.sorted.map(n => [n.self, n.now, n.sorted.every(c => c.self === 0)]));
check('each of which is all itself, and its callers are not',
  selves.every(([self, now, callersAreNot]) => self === now && callersAreNot));
await page.uncheck('#reversed');
await page.check('#containers');
const withInlined = (await rectangles(page)).length;
await page.uncheck('#inlined');
check('without inlined frames there are fewer', (await rectangles(page)).length < withInlined);
check('and the total is the same', await total(page) === sumOf(heap, 1));
await page.check('#inlined');
await page.uncheck('#containers');

// Frames that pprof drops are dropped, and containers are hidden at the leaf, if one of their
// callers is left.
const dropped = new RegExp(`^(${heap.drop_frames})$`);
const hidden = new RegExp(heap.hide_frames);
const isDropped = i => dropped.test(heap.frames[i].name);
const outermost = s => s.stack.findLastIndex((i, at) => isDropped(i) && s.stack.slice(at + 1).some(j => !isDropped(j)));
const containersOf = () => heap.samples.filter(s => s.values[1]).map(s => s.stack.slice(outermost(s) + 1).map(i => heap.frames[i].name));
check('the profile has frames to drop', heap.samples.some(s => outermost(s) >= 0));
check('leaves are the program\'s', leaves.size > 1 && containersOf().some(names => hidden.test(names[0])) &&
  [...leaves].sort().join() === [...new Set(containersOf().map(names => names.find(n => !hidden.test(n)) ?? names[0]))].sort().join());
await page.check('#containers');
check('containers are shown if asked for, what is dropped is not',
  (await leavesOf(page)).sort().join() === [...new Set(containersOf().map(names => names[0]))].sort().join());
check('and the total is the same', await total(page) === sumOf(heap, 1));
await page.uncheck('#containers');
check('what was allocated is a label', (await page.evaluate(() => [...$('group').options].map(o => o.value))).includes('type'));

await page.selectOption('#view', 'top');
await page.selectOption('#type', 'alloc_objects');
const flat = await page.evaluate(() => state.functions.reduce((sum, f) => sum + f.flat, 0));
check('the table adds up to the total', flat === sumOf(heap, 0));
await page.click('button[data-by=cum]');
const cums = await page.evaluate(() => [...document.querySelectorAll('#rows tr')].map(r => r.cells[3].textContent));
check('and sorts', cums.length > 1 && parseFloat(cums[0]) >= parseFloat(cums.at(-1)));
await page.screenshot({ path: `${folder}/top.png`, fullPage: true });
const name = await page.textContent('#rows tr:first-child td:last-child');
await page.focus('#rows tr:first-child button');
await page.keyboard.press('Enter');
check('a row is a button, which searches for its function', (await page.textContent('#summary')).includes('matched: ') &&
  await page.evaluate(n => state.matches(n), name));
await page.fill('#search', '');
// Frames that only allocate are in the profile, and in no row.
const rows = await page.evaluate(() => [...document.querySelectorAll('#rows button')].map(b => b.textContent));
const longer = heap.frames.find(f => f.full && f.full !== f.name && rows.includes(f.name));
check('names are short, and the full ones beside them', longer && !heap.frames.some(f => /<.*>/.test(f.name)));
check('a tooltip has the full name', await page.evaluate(({ name, full }) => [...document.querySelectorAll('#rows button')]
  .some(b => b.textContent === name && b.title.split('\n').includes(full)), longer));
await page.selectOption('#view', 'flame');
check('and the line above the graph', await page.evaluate(() => {
  const node = state.rows.flat().map(r => r.node).find(n => n.frame.full);
  describe(node);
  return document.getElementById('detail').textContent.startsWith(node.frame.full);
}));

await page.click('#keep');
await loaded(page, () => page.click('#reload'));
check('two moments are compared', await page.evaluate(() => state.tree.base) > 0 &&
  (await page.textContent('#summary')).includes('against the base'));
await page.screenshot({ path: `${folder}/difference.png`, fullPage: true });
await page.selectOption('#view', 'top');
check('and the table has their difference', await page.isVisible('#delta-head'));
await page.click('#drop');
await page.selectOption('#view', 'flame');

await page.fill('#seconds', '1');
await page.selectOption('#profile', 'profile');
await page.waitForSelector('#progress:not([hidden])');
check('a window shows its progress', true);
await page.waitForFunction(() => document.getElementById('summary').textContent.startsWith('cpu'), null,
  { timeout: 20000 });
check('CPU time is there', await total(page) > 0 && await page.inputValue('#type') === 'cpu');
check('and has no containers to hide', await page.isHidden('#containers'));
await page.screenshot({ path: `${folder}/cpu.png`, fullPage: true });
const labels = await page.evaluate(() => [...document.getElementById('group').options].map(o => o.value));
if (labels.length > 1) {
  await page.selectOption('#group', labels[1]);
  check('labels group', (await rectangles(page)).filter(r => r.y === 18).every(r => r.name.startsWith(labels[1] + '=')));
  const ungrouped = await total(page);
  const pairs = await page.evaluate(() => [...document.getElementById('filter').options].map(o => o.value));
  await page.selectOption('#filter', pairs[1]);
  check('and filter', await total(page) > 0 && await total(page) <= ungrouped);
  await page.selectOption('#filter', '');
  await page.selectOption('#group', '');
}
await page.fill('#seconds', '');
let asked = 0;
page.on('request', () => { ++asked; });
await page.click('#record');
check('without seconds nothing is recorded', asked === 0 && await page.isHidden('#progress'));
await page.fill('#seconds', '30');
await page.click('#record');
await page.waitForSelector('#cancel:not([hidden])');
await page.click('#record');
await page.waitForTimeout(300);  // the first one's end is heard of meanwhile
check('a second window takes over the progress of the first', asked === 2 &&
  await page.isVisible('#progress') && await page.isVisible('#cancel'));
await page.click('#cancel');
await page.waitForSelector('#progress', { state: 'hidden' });
check('a window can be given up', await page.textContent('#message') === '');

const cpu = await total(page);
const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
await download.saveAs(`${folder}/saved.html`);
await context.setOffline(true);
const saved = await open(pathToFileURL(`${folder}/saved.html`).href);
check('what is saved works without a network', await total(saved) === cpu && await saved.isHidden('#live'));
await context.setOffline(false);

// Compares the output of write_flamegraph with go tool pprof for the same heap: the total, and flat
// and cum of every function.
const file = await open(pathToFileURL(`${files}/flamegraph.html`).href);
await file.check('#containers');  // pprof hides them by -hide alone
for (const [type, unit] of [['alloc_objects', 'count'], ['alloc_space', 'B'], ['inuse_objects', 'count'], ['inuse_space', 'B']]) {
  const text = execFileSync('go', ['tool', 'pprof', '-symbolize=none', '-top', `-sample_index=${type}`, `-unit=${unit}`,
    '-nodecount=1000000', '-nodefraction=0', `${files}/heap.pb.gz`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const theirs = {};
  for (const [, flat, cum, name] of text.matchAll(/^ *(\d+)B? +[\d.]+% +[\d.]+% +(\d+)B? +[\d.]+% +(.*?)(?: \((?:partial-)?inline\))?$/gm)) {
    theirs[name] = [Number(flat), Number(cum)];
  }
  await file.selectOption('#type', type);
  await file.selectOption('#view', 'top');
  const mine = await file.evaluate(() => Object.fromEntries(state.functions.map(f => [f.name, [f.flat, f.cum]])));
  assert.deepEqual(mine, theirs);
  check(`${type}: the total and ${Object.keys(theirs).length} functions are as go tool pprof has them`,
    await total(file) === Number(/ of (\d+)B? total$/m.exec(text)[1]) && Object.keys(theirs).length > 5);
}
await file.selectOption('#view', 'flame');
check('what write_flamegraph wrote is drawn, and asks no server', (await rectangles(file)).length > 5 && await file.isHidden('#live'));

await page.emulateMedia({ colorScheme: 'dark' });
await page.screenshot({ path: `${folder}/dark.png`, fullPage: true });
check('dark is dark', await page.evaluate(() => getComputedStyle(document.body).backgroundColor) === 'rgb(20, 23, 26)');
await page.waitForTimeout(200);
await browser.close();
console.log(`page: ${checks} checks passed`);
