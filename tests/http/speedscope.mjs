// SPDX-License-Identifier: Apache-2.0
//
// speedscope opens the server's profiles: node speedscope.mjs URL FOLDER, where URL is
// /debug/pprof/. It shows inlined frames only if each is a location of its own, which inline=expand
// does.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join, normalize } from 'node:path';

const require = createRequire(import.meta.url);
const { chromium } = require('playwright-core');
const release = join(dirname(require.resolve('speedscope/package.json')), 'dist/release');
const [url, folder] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

const files = {};
for (const path of ['heap', 'heap?inline=expand', 'profile?seconds=1', 'block', 'heap?format=folded']) {
  files[`/${encodeURIComponent(path)}`] = Buffer.from(await (await fetch(url + path)).arrayBuffer());
}
const types = { html: 'text/html', js: 'text/javascript', css: 'text/css' };
const server = createServer((asked, reply) => {
  const path = new URL(asked.url, 'http://x').pathname;
  if (files[path]) return reply.end(files[path]);
  const file = join(release, normalize(path));
  if (!existsSync(file)) return reply.writeHead(404).end();
  reply.setHeader('Content-Type', types[path.split('.').pop()] ?? 'application/octet-stream');
  reply.end(readFileSync(file));
});
await new Promise(resolve => { server.listen(0, '127.0.0.1', resolve); });
const base = `http://127.0.0.1:${server.address().port}`;

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);
const browser = await chromium.launch({ executablePath,
  args: ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'] });
for (const path of Object.keys(files)) {
  const page = await browser.newPage();
  const said = [];
  page.on('console', m => said.push(`${m.type()}: ${m.text()}`));
  page.on('pageerror', e => assert.fail(`${path}: ${e.message}`));
  // The file's name decides if the answer has no content type of its own.
  await page.goto(`${base}/index.html#profileURL=${encodeURIComponent(base + path)}&title=opened`);
  await page.waitForFunction(() => document.title.startsWith('opened') && document.querySelector('canvas'), null, { timeout: 30000 });
  await page.waitForTimeout(500);
  assert(!said.some(line => line.startsWith('error')), `${path}: ${said}`);
  assert(said.some(line => /Importing as/.test(line)), `${path}: ${said}`);
  await page.screenshot({ path: `${folder}/speedscope${path.replace(/\W+/g, '_')}.png` });
  console.log(`ok ${path}: ${said.find(line => /Importing as/.test(line))}`);
  await page.close();
}
await browser.close();
server.close();
console.log(`speedscope: ${Object.keys(files).length} files opened`);
