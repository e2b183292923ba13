// SPDX-License-Identifier: Apache-2.0
//
// Sends each collector's default requests, several at once, and checks every reply by that
// collector's demands: node fleet.mjs URL. The paths are read from examples/fleet/, so that each
// path named there is really served.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const { Profile } = createRequire(import.meta.url)('pprof-format');
const base = process.argv[2].replace(/\/debug\/pprof\/$/, '');
const fleet = join(dirname(fileURLToPath(import.meta.url)), '../../examples/fleet');

let checks = 0;
const check = (what, condition) => { assert(condition, what); ++checks; };

const isGzip = bytes => bytes[0] === 0x1f && bytes[1] === 0x8b;
const at = (profile, index) => profile.stringTable.strings[Number(index)];

// Every rule of every reader: Alloy's validate.go, Parca's normalizer, Pyroscope's validation.go, the
// collector's CheckValid.
function validate(name, bytes) {
  check(`${name}: not empty`, bytes.length > 0);
  const raw = isGzip(bytes) ? gunzipSync(bytes) : bytes;
  check(`${name}: at most 4 MiB`, raw.length <= 4 << 20);
  const p = Profile.decode(raw);
  check(`${name}: the first string is empty`, at(p, 0) === '');
  check(`${name}: has sample types`, p.sampleType.length > 0);
  for (const t of [...p.sampleType, p.periodType]) {
    check(`${name}: types are named`, t && at(p, t.type) && at(p, t.unit) && !at(p, t.type).includes('-'));
  }
  for (const [what, all] of Object.entries({ mapping: p.mapping, location: p.location, function: p.function })) {
    check(`${name}: ${what} ids are 1 to N`, all.every((it, i) => Number(it.id) === i + 1));
  }
  check(`${name}: there is a mapping`, p.mapping.length > 0);
  check(`${name}: locations have mappings and addresses`, p.location.every(l =>
    Number(l.mappingId) >= 1 && Number(l.mappingId) <= p.mapping.length && BigInt(l.address) > 0n));
  check(`${name}: no two have one address`, new Set(p.location.map(l => `${l.address}`)).size === p.location.length);
  check(`${name}: at most 16000 samples`, p.sample.length <= 16000);
  for (const s of p.sample) {
    check(`${name}: values as types`, s.value.length === p.sampleType.length);
    check(`${name}: none is below 0`, s.value.every(v => BigInt(v) < 1n << 63n));
    check(`${name}: a location at least`, s.locationId.length > 0);
    const keys = s.label.map(l => at(p, l.key));
    check(`${name}: one value for a key`, new Set(keys).size === keys.length && keys.every(Boolean));
  }
  check(`${name}: has a time`, BigInt(p.timeNanos) > 0n);
  return p.sampleType.map(t => `${at(p, t.type)}/${at(p, t.unit)}`).join(' ');
}

async function ask(who, path) {
  const reply = await fetch(base + path, { headers: { 'user-agent': who, 'accept-encoding': 'gzip' }, redirect: 'error' });
  const bytes = Buffer.from(await reply.arrayBuffer());
  const name = `${who} ${path}`;
  check(`${name}: 200, not ${reply.status} ${bytes.slice(0, 80)}`, reply.status === 200);
  check(`${name}: octet-stream`, reply.headers.get('content-type').startsWith('application/octet-stream'));
  check(`${name}: no Content-Encoding`, !reply.headers.has('content-encoding'));
  return validate(name, bytes);
}

const read = name => readFileSync(join(fleet, name), 'utf8');
const five = cpu => ['allocs', 'block', 'goroutine', 'mutex', `profile?seconds=${cpu}`].map(p => `/debug/pprof/${p}`);
const asked = {
  'Alloy/1.0': [...five(1), '/debug/fgprof?seconds=1', '/debug/pprof/delta_heap', '/debug/pprof/delta_block',
    '/debug/pprof/delta_mutex'],
  'Parca/0.20': five(1),
  'datadog-agent': ['profile', 'heap', 'mutex', 'block', 'goroutine'].map(p => `/debug/pprof/${p}?seconds=1`),
  'OpenTelemetry Collector': ['/debug/pprof/profile?seconds=1', '/debug/pprof/heap'],
  'curl to Pyroscope': ['/debug/pprof/profile?seconds=1', '/debug/pprof/allocs'],
};

// Datadog's check makes its paths of an address and the names of profiles; here it asks for a
// second.
const datadog = read('datadog.yaml');
const address = new URL(/pprof_url: (\S+)/.exec(datadog)[1]);
const profiles = /profiles: \[(.*)\]/.exec(datadog)[1].split(', ').map(p => (p === 'cpu' ? 'profile' : p));
check('datadog.yaml names the port that is the default', address.port === '6060' && profiles.length === 5);
const made = profiles.map(p => `${new URL(p, address).pathname}?seconds=1`);
check('its pprof_url ends where profiles begin', made[1] === '/debug/pprof/heap?seconds=1');
await Promise.all(made.map(path => ask('datadog.yaml', path)));  // by itself: 16 windows are all there are

// The requests of the files that people copy.
for (const file of ['alloy.config', 'parca.yaml', 'datadog.yaml', 'otel-collector.yaml', 'push-to-pyroscope.sh']) {
  const paths = [...read(file).matchAll(/\/debug\/(?:pprof\/\w+(?:\.\w+)*|fgprof)/g)].map(m => m[0]);
  check(`${file} names paths`, paths.length > 0);
  const windows = /profile|wall|fgprof/;
  asked[file] = [...new Set(paths)].map(p => (windows.test(p) ? `${p}?seconds=1` : p));
}

const types = {};
for (let round = 0; round < 2; ++round) {
  await Promise.all(Object.entries(asked).flatMap(([who, paths]) =>
    paths.map(async path => { types[path] = await ask(who, path); })));
}
const expected = {
  '/debug/pprof/allocs': 'alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes',
  '/debug/pprof/block': 'contentions/count delay/nanoseconds',
  '/debug/pprof/mutex': 'contentions/count delay/nanoseconds',
  '/debug/pprof/goroutine': 'goroutine/count',
  '/debug/pprof/profile?seconds=1': 'samples/count cpu/nanoseconds',
  '/debug/fgprof?seconds=1': 'samples/count time/nanoseconds',
};
for (const [path, type] of Object.entries(expected)) check(`${path} is ${types[path]}`, types[path] === type);
console.log(`fleet: ${Object.keys(asked).length} clients, ${checks} checks passed`);
