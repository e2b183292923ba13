// SPDX-License-Identifier: Apache-2.0
//
// Takes the picture of README.md: `node flamegraph.mjs`, with the quickstart running and playwright-core found by
// NODE_PATH. It records ten seconds of CPU time on the quickstart's page and keeps the graph.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const { chromium } = createRequire(import.meta.url)('playwright-core');
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 900, height: 700 }, deviceScaleFactor: 1.5 });
const page = await context.newPage();
await page.goto('http://127.0.0.1:6060/debug/pprof/ui#profile=block');
await page.waitForFunction(() => document.getElementById('summary').textContent);
await page.evaluate(() => { state.profile.isOld = true; });
await page.selectOption('#profile', 'profile');
await page.waitForFunction(() => !state.profile.isOld, null, { timeout: 40000 });
const graph = await page.locator('#flame').boundingBox();
const summary = await page.locator('#summary').boundingBox();
await page.screenshot({
  path: fileURLToPath(new URL('flamegraph.png', import.meta.url)),
  clip: { x: 0, y: summary.y - 6, width: 900, height: graph.y + graph.height - summary.y + 12 },
});
await browser.close();
