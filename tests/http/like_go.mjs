// SPDX-License-Identifier: Apache-2.0
//
// Sends the same requests to Go's net/http/pprof and to ours: node like_go.mjs GO_URL OUR_URL.
// Status, headers, error texts, sample types and units must be the same, except for the intended
// differences listed here. Each of those must exist: one that has gone is to be taken off the list.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { createRequire } from 'node:module';
import { gunzipSync } from 'node:zlib';

const { Profile } = createRequire(import.meta.url)('pprof-format');
const [go, ours] = process.argv.slice(2);

// Does not use fetch, which normalizes paths.
function ask(base, method, path, body) {
  const { hostname, port, pathname } = new URL(base);
  return new Promise((resolve, reject) => {
    const r = request({ hostname, port, method, path: pathname + path }, reply => {
      const parts = [];
      reply.on('data', part => parts.push(part));
      reply.on('end', () => resolve({ status: reply.statusCode, headers: reply.headers, body: Buffer.concat(parts) }));
    });
    r.on('error', reject);
    r.end(body);
  });
}

function typesOf(bytes) {
  if (bytes[0] !== 0x1f) return 'no profile';
  const p = Profile.decode(gunzipSync(bytes));
  const text = i => p.stringTable.strings[Number(i)];
  const type = t => `${text(t.type)}/${text(t.unit)}`;
  const shown = text(p.defaultSampleType) || text(p.sampleType.at(-1).type);  // as clients do
  return `${p.sampleType.map(type).join(' ')} period ${type(p.periodType)} ${p.period} shown ${shown}`;
}

const seen = ({ status, headers, body }, method) => ({
  status,
  type: headers['content-type'],
  disposition: headers['content-disposition'],
  sniff: headers['x-content-type-options'],
  error: headers['x-go-pprof'] && `${headers['x-go-pprof']} ${body}`,
  what: headers['content-type'] === 'application/octet-stream' && method !== 'HEAD' ? typesOf(body)
    : /^(\w+ profile|heap profile|goroutine profile|--- \w+:|num_symbols: \d+)/.exec(body)?.[0],
});

const names = ['allocs', 'block', 'goroutine', 'heap', 'mutex', 'threadcreate', 'indexer.files'];
const requests = [
  ...names.map(n => ['GET', n]), ...names.map(n => ['GET', `${n}?debug=1`]),
  ...names.filter(n => n !== 'indexer.files').map(n => ['GET', `${n}?seconds=1`]),
  ['GET', 'goroutine?debug=2'], ['GET', 'profile?seconds=1'], ['GET', 'profile?seconds=1&debug=1'],
  ['GET', 'nosuch'], ['GET', 'heap/'], ['GET', '<script>'], ['GET', 'heap?gc=1'], ['GET', 'heap?debug=junk'],
  ['GET', 'heap?seconds=0'], ['GET', 'heap?seconds=-1'], ['GET', 'heap?seconds=abc'], ['GET', 'heap?seconds=1.5'],
  ['GET', 'heap?seconds='], ['GET', 'heap?seconds=1&debug=1'], ['GET', 'cmdline'],
  ['GET', 'symbol'], ['GET', 'symbol?0x1'], ['POST', 'symbol', '0x1+junk'],
  ['HEAD', 'heap'], ['HEAD', 'cmdline'], ['GET', ''],
  ['GET', 'heap?debug=-1'], ['POST', 'heap'], ['GET', 'indexer.files?seconds=1'], ['GET', 'trace?seconds=1'],
];

// The differences, and their reasons.
const meant = {
  'GET allocs?seconds=1': 'clients show alloc_space, as of allocs itself; Go 1.19 forgets it in a window',
  'GET heap?debug=-1': 'below 0 is as 0; Go sends gzip and calls it text',
  'POST heap': '405, as Go has it since 1.22',
  'GET indexer.files?seconds=1': 'windows of custom profiles: Go has none (400)',
  'GET trace?seconds=1': 'there is no execution trace of a C++ program: 404',
};

let same = 0;
const differ = [];
for (const [method, path, body] of requests) {
  const name = `${method} ${path}`;
  const [theirs, mine] = await Promise.all([go, ours].map(async base => seen(await ask(base, method, path, body), method)));
  try {
    assert.deepEqual(mine, theirs);
    ++same;
  } catch {
    differ.push(name);
    console.log(`${meant[name] ? 'meant' : 'NOT MEANT'}: ${name}: ${meant[name] ?? ''}`);
    for (const key of Object.keys(mine)) {
      if (mine[key] !== theirs[key]) console.log(`  ${key}: Go ${JSON.stringify(theirs[key])}, ours ${JSON.stringify(mine[key])}`);
    }
  }
}
console.log(`like_go: ${same} of ${requests.length} requests answered alike, ${differ.length} not`);
assert.deepEqual(differ.sort(), Object.keys(meant).sort(), 'the list of differences');
