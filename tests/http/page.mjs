// SPDX-License-Identifier: Apache-2.0
//
// The page in a real Chromium: node page.mjs URL FOLDER, where URL is /debug/pprof/ of a server and
// FOLDER gets screenshots, the saved page and what a browser made of it. Fails on the first thing
// that is wrong, and on every error the browser reports, its Content-Security-Policy's included.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { chromium } = createRequire(import.meta.url)('playwright-core');
const [url, folder] = process.argv.slice(2);
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
// The data that the page has, not a second request's, is the truth here.
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
await page.keyboard.press('ArrowUp');
check('arrow keys move', first !== second && await page.evaluate(() => state.selected.frame.name) === first);
await page.keyboard.press('Enter');
check('Enter zooms', await page.evaluate(() => state.zoom.frame.name) === first);
await page.keyboard.press('Escape');
await page.keyboard.press('/');
check('/ goes to the search', await page.evaluate(() => document.activeElement.id) === 'search');

await page.selectOption('#type', 'alloc_space');
await page.fill('#search', 'main|allocate');
const matched = heap.samples.filter(s => s.stack.some(i => /main|allocate/.test(heap.frames[i].name)))
  .reduce((sum, s) => sum + s.values[1], 0);
const share = (100 * matched / sumOf(heap, 1)).toFixed(2);
check(`a search counts each stack once: ${share}%`,
  (await page.textContent('#summary')).includes(`matched: ${share}%`));
await page.fill('#search', '(');
check('what is no regular expression is searched as it is',
  (await page.textContent('#summary')).includes('matched: '));
await page.fill('#search', '');

await page.check('#reversed');
check('reversed, the total is the same', await total(page) === sumOf(heap, 1));
const leaves = new Set(heap.samples.map(s => heap.frames[s.stack[0]].name));
check('and the leaves are at the root', (await rectangles(page)).filter(r => r.y === 18).every(r => leaves.has(r.name)));
await page.uncheck('#reversed');
const withInlined = (await rectangles(page)).length;
await page.uncheck('#inlined');
check('without inlined frames there are fewer', (await rectangles(page)).length < withInlined);
check('and the total is the same', await total(page) === sumOf(heap, 1));
await page.check('#inlined');

await page.selectOption('#view', 'top');
await page.selectOption('#type', 'alloc_objects');
const flat = await page.evaluate(() => state.functions.reduce((sum, f) => sum + f.flat, 0));
check('the table adds up to the total', flat === sumOf(heap, 0));
await page.click('button[data-by=cum]');
const cums = await page.evaluate(() => [...document.querySelectorAll('#rows tr')].map(r => r.cells[3].textContent));
check('and sorts', cums.length > 1 && parseFloat(cums[0]) >= parseFloat(cums.at(-1)));
await page.screenshot({ path: `${folder}/top.png`, fullPage: true });
const name = await page.textContent('#rows tr:first-child td:last-child');
await page.click('#rows tr:first-child');
check('a row searches for its function', (await page.textContent('#summary')).includes('matched: ') &&
  await page.evaluate(n => state.matches(n), name));
await page.fill('#search', '');

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
await page.fill('#seconds', '30');
await page.click('#record');
await page.waitForSelector('#cancel:not([hidden])');
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

await page.emulateMedia({ colorScheme: 'dark' });
await page.screenshot({ path: `${folder}/dark.png`, fullPage: true });
check('dark is dark', await page.evaluate(() => getComputedStyle(document.body).backgroundColor) === 'rgb(20, 23, 26)');
await page.waitForTimeout(200);
await browser.close();
console.log(`page: ${checks} checks passed`);
