// SPDX-License-Identifier: Apache-2.0
//
// The validator accepts a good profile and names each damage: `node validate.test.mjs`. Every rule
// is broken here once, alone; a rule that no damage breaks fails the test.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { kindOf, pprofFormat, violations } from './validate.mjs';

const { Profile, Function, Label, Line, Location, Mapping, Sample, StringTable, ValueType, decode } = pprofFormat();

function good(kindName = 'heap') {
  const kind = kindOf(kindName);
  const table = new StringTable();
  const str = (s) => table.dedup(s);
  const type = (t) => {
    const cut = t.lastIndexOf('/');
    return new ValueType({ type: str(t.slice(0, cut)), unit: str(t.slice(cut + 1)) });
  };
  const flags = { hasFunctions: true, hasFilenames: true, hasLineNumbers: true, hasInlineFrames: true };
  const fn = (id, name, system, file = '/src/a.cpp') =>
    new Function({ id, name: str(name), systemName: str(system), filename: str(file), startLine: 0 });
  const line = (functionId, n) => new Line({ functionId, line: n });
  const values = (a) => kind.types.map((_, i) => a * (kind.types.length === 4 && i % 2 === 1 ? 64 : 1));
  const labels = () => {
    if (kind.types.length === 4) return [new Label({ key: str('bytes'), num: 64, numUnit: str('bytes') })];
    if (kindName === 'mutex') return [new Label({ key: str('lock'), str: str('orders') }), new Label({ key: str('delay'), num: 64, numUnit: str('nanoseconds') })];
    return [];
  };
  return new Profile({
    stringTable: table,
    sampleType: kind.types.map(type),
    periodType: type(kind.period),
    period: kind.period === 'space/bytes' ? 524288 : 1,
    defaultSampleType: str(kind.defaults.at(-1)),
    timeNanos: 1790000000n * 10n ** 9n,
    durationNanos: kindName === 'cpu' || kindName === 'wall' ? 5n * 10n ** 9n : 0n,
    comment: [str('whence 1.0.0')],
    mapping: [
      new Mapping({ id: 1, memoryStart: 0x1000, memoryLimit: 0x2000, filename: str('/bin/a'), buildId: str('00ff'), ...flags }),
      new Mapping({ id: 2, memoryStart: 0x3000, memoryLimit: 0x4000, filename: str('/lib/b.so.1'), buildId: str('') }),
    ],
    function: [fn(1, 'a::run(int)', '_ZN1a3runEi'), fn(2, 'main', 'main'), fn(3, '[b.so.1+0x10]', '[b.so.1+0x10]', '')],
    location: [
      new Location({ id: 1, mappingId: 1, address: 0x1010, line: [line(1, 10), line(2, 20)] }),
      new Location({ id: 2, mappingId: 1, address: 0x1020, line: [line(2, 21)] }),
      new Location({ id: 3, mappingId: 2, address: 0x3010, line: [line(3, 0)] }),
    ],
    sample: [
      new Sample({ locationId: [1, 2, 3], value: values(2), label: labels() }),
      new Sample({ locationId: [3], value: values(1), label: labels() }),
    ],
  });
}

const put = (p, s) => p.stringTable.dedup(s);
// Appends a top-level field that the encoder would not write in this form.
const append = (...bytes) => (p, encoded) => Buffer.concat([encoded, Buffer.from(bytes)]);

// rule → [damage to the message, or null; damage to the bytes; options]
const damages = {
  'decodable': [[null, (p, b) => b.subarray(0, b.length - 3)], [null, append(0x0f)]],
  'utf8': [[null, append(0x32, 2, 0xc3, 0x28)]],
  'empty-string-first': [[null, (p, b) => Buffer.concat([Buffer.from([0x32, 1, 0x78]), b])]],
  'strings-unique': [[null, append(0x32, 6, ...Buffer.from('/bin/a'))]],
  'string-index': [[(p) => { p.comment = [999]; }]],
  'sample-types': [[(p) => p.sampleType.reverse()], [(p) => { p.sampleType[1].unit = put(p, 'count'); }],
    [(p) => { p.sampleType.pop(); p.sample.forEach((s) => s.value.pop()); }]],
  'type-names': [[(p) => { p.sampleType[0].type = put(p, 'alloc-objects'); }], [(p) => { p.sampleType[0].type = put(p, 'a b'); }]],
  'period-type': [[(p) => { p.periodType = undefined; }], [(p) => { p.periodType.unit = put(p, 'count'); }]],
  'period': [[(p) => { p.period = 0; }], [null, null, { period: '1' }], [(p) => { p.period = 2; }, null, { kind: 'block' }]],
  'default-sample-type': [[(p) => { p.defaultSampleType = put(p, 'alloc_space'); }], [(p) => { p.defaultSampleType = 0; }, null, { kind: 'allocs' }],
    [(p) => { p.defaultSampleType = p.sampleType[1].type; }, null, { kind: 'mutex' }]],
  'time': [[(p) => { p.timeNanos = 0; }], [(p) => { p.timeNanos = 1790000000; }], [(p) => { p.timeNanos = 1790000000000000; }]],
  'duration': [[(p) => { p.durationNanos = 1; }], [(p) => { p.durationNanos = 0; }, null, { kind: 'cpu' }]],
  'sequential-ids': [[(p) => p.function.reverse()], [(p) => { p.mapping[1].id = 7; }], [(p) => { p.location[2].id = 0; }]],
  'has-mapping': [[(p) => { p.mapping = []; }]],
  'mapping-file': [[(p) => { p.mapping[1].filename = 0; }]],
  'build-id': [[(p) => { p.mapping[1].buildId = put(p, 'xyz'); }], [(p) => { p.mapping[0].buildId = put(p, 'abc'); }]],
  'mapping-flags': ['hasFunctions', 'hasFilenames', 'hasLineNumbers', 'hasInlineFrames'].map((f) => [(p) => { p.mapping[0][f] = false; }])
    .concat([[(p) => { p.mapping[1].hasFunctions = true; }]]),
  'mapping-range': [[(p) => { p.mapping[1].memoryLimit = p.mapping[1].memoryStart; }]],
  'mapping-overlap': [[(p) => { p.mapping[0].memoryLimit = 0x3001; }]],
  'main-mapping': [[(p) => { p.mapping[0].filename = put(p, '/lib/b.so.1'); }], [(p) => { p.mapping[0].filename = put(p, '[vdso]'); }],
    [null, null, { binary: '/bin/other' }]],
  'function-name': [[(p) => { p.function[1].name = 0; }], [(p) => { p.function[1].systemName = 0; }]],
  'name-demangled': [[(p) => { p.function[0].name = p.function[0].systemName; }]],
  'system-name': [[(p) => { p.function[0].systemName = p.function[0].name; }]],
  'address': [[(p) => { p.location[0].address = 0; }]],
  'address-unique': [[(p) => { p.location[0].address = p.location[1].address; }]],
  'location-mapping': [[(p) => { p.location[0].mappingId = 0; }], [(p) => { p.location[0].mappingId = 3; }]],
  'address-in-mapping': [[(p) => { p.location[0].address = 0x2000; }], [(p) => { p.location[2].mappingId = 1; }]],
  'location-line': [[(p) => { p.location[0].line = []; }]],
  'line-function': [[(p) => { p.location[0].line[1].functionId = 0; }], [(p) => { p.location[0].line[1].functionId = 9; }]],
  'line-number': [[(p) => { p.location[0].line[0].line = -1n; }]],
  'sample-location': [[(p) => { p.sample[0].locationId = []; }]],
  'location-id': [[(p) => { p.sample[0].locationId = [0]; }], [(p) => { p.sample[0].locationId = [1, 4]; }]],
  'value-count': [[(p) => p.sample[0].value.push(1)], [(p) => p.sample[0].value.pop()]],
  'value-negative': [[(p) => { p.sample[0].value[2] = -5n; }]],
  'value-zero': [[(p) => p.sample[0].value.fill(0)]],
  'label-key': [[(p) => p.sample[0].label.push(new Label({ key: put(p, 'a-b'), num: 1 }))],
    [(p) => p.sample[0].label.push(new Label({ key: put(p, '1a'), num: 1 }))]],
  'label-once': [[(p) => p.sample[0].label.push(new Label({ key: put(p, 'bytes'), num: 65, numUnit: put(p, 'bytes') }))]],
  'label-value': [[(p) => p.sample[0].label.push(new Label({ key: put(p, 'a'), num: 1, str: put(p, 'main') }))]],
  'num-unit': [[(p) => { p.sample[0].label[0].numUnit = 0; }], [(p) => { p.sample[0].label[0].num = 0; }]],
  'bytes-label': [[(p) => { p.sample[0].label = []; }]],
  'delay-label': [[(p) => { p.sample[0].label.pop(); }, null, { kind: 'mutex' }], [(p) => { p.sample[0].label[1].num = 65; }, null, { kind: 'mutex' }],
    [(p) => { p.sample[0].label[1].numUnit = 0; }, null, { kind: 'mutex' }]],
  'inuse-part': [[(p) => { p.sample[0].value[2] = 3; }], [(p) => { p.sample[0].value[3] = 129; }]],
  'sample-unique': [[(p) => p.sample.push(p.sample[0])]],
  'nonempty': [[(p) => { p.sample = []; }, null, { nonempty: true }]],
  'size-samples': [[(p) => { while (p.sample.length <= 16000) p.sample.push(p.sample[0]); }]],
  'size-bytes': [[(p) => { for (let i = 0; i < 70; ++i) put(p, `${i}`.padStart(61000, 'x')); }]],
  'size-strings': [[(p) => put(p, 'x'.repeat(65536))]],
  'size-depth': [[(p) => { p.sample[0].locationId = Array(1001).fill(1); }]],
  'size-labels': [[(p) => { for (let i = 0; i < 101; ++i) p.sample[0].label.push(new Label({ key: put(p, `k${i}`), num: 1 })); }]],
};

let failures = 0;
let checks = 0;
const expect = (holds, what) => {
  ++checks;
  if (!holds) { ++failures; console.log(`FAILED: ${what}`); }
};
const rulesOf = (bytes, { kind = 'heap', ...rest } = {}) =>
  violations(bytes, { kind: kindOf(kind), ...rest }, decode).map((v) => v.rule);

const names = ['heap', 'allocs', 'block', 'mutex', 'mutex_hold', 'goroutine', 'threadcreate', 'cpu', 'wall', 'custom:app.files/open'];
for (const name of names) {
  for (const [how, pack] of [['plain', (b) => b], ['gzip', gzipSync]]) {
    const rules = rulesOf(pack(good(name).encode()), { kind: name, nonempty: true });
    expect(rules.length === 0, `a good ${name} profile, ${how}, is accepted, not: ${rules}`);
  }
  const empty = good(name);
  empty.sample = []; empty.location = []; empty.function = [];
  for (const flag of ['hasFunctions', 'hasFilenames', 'hasLineNumbers', 'hasInlineFrames']) empty.mapping[0][flag] = false;
  expect(rulesOf(empty.encode(), { kind: name }).length === 0, `an empty ${name} profile is accepted`);
}
expect(rulesOf(good('block').encode(), { kind: 'heap' }).includes('sample-types'), 'a block profile is no heap profile');

for (const [rule, cases] of Object.entries(damages)) {
  cases.forEach(([message, wire, options = {}], i) => {
    const p = good(options.kind);
    message?.(p);
    const encoded = Buffer.from(p.encode());
    const rules = rulesOf(wire ? wire(p, encoded) : encoded, options);
    expect(rules.includes(rule), `${rule}, damage ${i}: found ${rules.length ? [...new Set(rules)] : 'nothing'}`);
  });
}

// Each rule has a damage that breaks it.
const source = readFileSync(new URL('./validate.mjs', import.meta.url), 'utf8');
const rules = new Set([...source.matchAll(/check\('([a-z0-9-]+)'/g)].map((m) => m[1]));
for (const rule of rules) expect(Object.hasOwn(damages, rule), `no damage breaks the rule ${rule}`);

console.log(`validate.test.mjs: ${rules.size + 1} rules, ${checks} checks, ${failures} failed`);
process.exitCode = failures ? 1 : 0;
