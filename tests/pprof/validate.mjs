#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// Checks that a profile file keeps every rule that some reader of pprof files relies on:
//
//   node validate.mjs --kind heap|allocs|block|mutex|mutex_hold|goroutine|threadcreate|cpu|wall|custom:NAME FILE...
//     --binary PATH   the first mapping must be this file
//     --period N      the period must be N
//     --nonempty      there must be samples
//     --any-size      do not apply the limits of the collectors
//
// Prints one line for each broken rule, `FILE: rule: what`, with status 1; otherwise one line of
// JSON for each file, with the values on which other decoders must agree: counts, and the sum of
// each sample type. It decodes with pprof-format, found by NODE_PATH, which shares no code with the
// writer.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const heapTypes = ['alloc_objects/count', 'alloc_space/bytes', 'inuse_objects/count', 'inuse_space/bytes'];
const waitTypes = ['contentions/count', 'delay/nanoseconds'];

// Collectors identify their series by these strings, so they are an interface.
const kinds = {
  heap: { types: heapTypes, period: 'space/bytes', defaults: ['', 'inuse_space'] },
  allocs: { types: heapTypes, period: 'space/bytes', defaults: ['alloc_space'] },
  block: { types: waitTypes, period: 'contentions/count', defaults: [''] },
  mutex: { types: waitTypes, period: 'contentions/count', defaults: [''] },
  mutex_hold: { types: ['holds/count', 'hold/nanoseconds'], period: 'holds/count', defaults: [''] },
  goroutine: { types: ['goroutine/count'], period: 'goroutine/count', defaults: [''] },
  threadcreate: { types: ['threadcreate/count'], period: 'threadcreate/count', defaults: [''] },
  cpu: { types: ['samples/count', 'cpu/nanoseconds'], period: 'cpu/nanoseconds', defaults: ['', 'cpu'] },
  wall: { types: ['samples/count', 'time/nanoseconds'], period: 'wallclock/nanoseconds', defaults: ['', 'time'] },
};

export function kindOf(text) {
  if (Object.hasOwn(kinds, text)) return kinds[text];
  const custom = /^custom:(.+)$/.exec(text ?? '');
  if (!custom) throw new Error(`--kind: "${text}" is no kind of profile`);
  return { types: [`${custom[1]}/count`], period: `${custom[1]}/count`, defaults: [''] };
}

// The collectors' limits: Pyroscope's validation (samples, bytes, labels, string length, depth).
const limits = { samples: 16000, bytes: 4 << 20, labels: 100, string: 65535, depth: 1000 };

const isGzip = (bytes) => bytes[0] === 0x1f && bytes[1] === 0x8b;
export const plain = (bytes) => (isGzip(bytes) ? gunzipSync(bytes) : bytes);

// string_table as bytes, by walking the wire format: a decoder would repair what is not UTF-8.
function rawStrings(bytes) {
  const strings = [];
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      if (at >= bytes.length || shift > 63n) throw new Error(`varint broken off at byte ${at}`);
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    if ((tag & 7) === 0) {
      varint();
    } else if ((tag & 7) === 2) {
      const length = Number(varint());
      if (at + length > bytes.length) throw new Error(`field ${tag >> 3} runs past the end`);
      if (tag >> 3 === 6) strings.push(bytes.subarray(at, at + length));
      at += length;
    } else {
      throw new Error(`wire type ${tag & 7} at byte ${at}`);
    }
  }
  return strings;
}

// Every broken rule as {rule, what}; an empty list if the file is good.
export function violations(file, { kind, binary, period, nonempty, anySize }, decode) {
  const found = [];
  const check = (rule, holds, what) => holds || found.push({ rule, what: String(what()) });
  let p, raw, bytes;
  try {
    bytes = plain(file);
    raw = rawStrings(bytes);
    p = decode(bytes);
  } catch (error) {
    return [{ rule: 'decodable', what: error.message }];
  }

  // Strings.
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  raw.forEach((s, i) => {
    let good = true;
    try { utf8.decode(s); } catch { good = false; }
    check('utf8', good, () => `string_table[${i}] = ${JSON.stringify(Buffer.from(s).toString('latin1'))}`);
  });
  const strings = raw.map((s) => Buffer.from(s).toString());
  check('empty-string-first', strings[0] === '', () => `string_table[0] = ${JSON.stringify(strings[0])}`);
  check('strings-unique', new Set(strings).size === strings.length, () => 'a string is in the table twice');
  const text = (index, where) => {
    const s = strings[Number(index ?? 0)];
    check('string-index', s !== undefined, () => `${where}: no string ${index} of ${strings.length}`);
    return s ?? '';
  };
  const typeOf = (t, where) => `${text(t.type, where)}/${text(t.unit, where)}`;

  // The header.
  const types = p.sampleType.map((t) => typeOf(t, 'sample_type'));
  const names = types.map((t) => t.slice(0, t.lastIndexOf('/')));
  check('sample-types', types.join() === kind.types.join(), () => `${types}, expected ${kind.types}`);
  check('type-names', names.every((n) => /^[A-Za-z0-9_./]+$/.test(n)), () => `${names}`);
  check('period-type', p.periodType && typeOf(p.periodType, 'period_type') === kind.period,
    () => `${p.periodType ? typeOf(p.periodType, 'period_type') : 'none'}, expected ${kind.period}`);
  const isWindow = kind === kinds.cpu || kind === kinds.wall;
  const expected = period ?? (kind.types === heapTypes || isWindow ? undefined : 1);
  check('period', expected === undefined ? BigInt(p.period) > 0n : BigInt(p.period) === BigInt(expected),
    () => `${p.period}, expected ${expected ?? 'a positive rate'}`);
  check('default-sample-type', kind.defaults.includes(text(p.defaultSampleType, 'default_sample_type')),
    () => `"${text(p.defaultSampleType)}", expected ${kind.defaults.map((d) => `"${d}"`).join(' or ')}`);
  // The time lies between 2020 and 2100, so it is in nanoseconds, not seconds or microseconds.
  const time = BigInt(p.timeNanos);
  check('time', time > 1577836800n * 10n ** 9n && time < 4102444800n * 10n ** 9n, () => `time_nanos = ${time}`);
  check('duration', (BigInt(p.durationNanos) > 0n) === isWindow, () => `duration_nanos = ${p.durationNanos} on a ${isWindow ? 'window' : 'profile since start'}`);
  p.comment.forEach((c) => text(c, 'comment'));
  for (const [what, list] of [['mapping', p.mapping], ['location', p.location], ['function', p.function]]) {
    list.forEach((e, i) => check('sequential-ids', Number(e.id) === i + 1, () => `${what} ${i + 1} has id ${e.id}`));
  }

  // Mappings, the main binary first.
  check('has-mapping', p.mapping.length > 0, () => 'no mapping');
  const ranges = [];
  p.mapping.forEach((m, i) => {
    const name = text(m.filename, 'mapping');
    const where = `mapping ${i + 1} ${JSON.stringify(name)}`;
    check('mapping-file', name !== '', () => `${where} has no file name`);
    const id = text(m.buildId, 'mapping');
    check('build-id', /^([0-9a-f]{2})*$/.test(id), () => `${where}: build_id ${JSON.stringify(id)} is not hexadecimal`);
    // The lines of a mapping's locations; clients symbolize only mappings without functions.
    const lines = p.location.filter((l) => Number(l.mappingId) === i + 1).flatMap((l) => l.line);
    const functions = lines.map((l) => p.function[Number(l.functionId) - 1]);
    const isOwn = name === '[whence]';
    const known = {
      hasFunctions: functions.some((f) => f && (isOwn || !strings[Number(f.name)]?.startsWith('['))),
      hasFilenames: functions.some((f) => f && Number(f.filename) !== 0),
      hasLineNumbers: lines.some((l) => Number(l.line) !== 0),
    };
    known.hasInlineFrames = known.hasLineNumbers;
    for (const [flag, is] of Object.entries(known)) {
      check('mapping-flags', Boolean(m[flag]) === is, () => `${where}: ${flag} is ${m[flag]}, its locations say ${is}`);
    }
    check('mapping-range', BigInt(m.memoryStart) < BigInt(m.memoryLimit), () => `${where} is empty`);
    ranges.push({ from: BigInt(m.memoryStart), to: BigInt(m.memoryLimit), where });
  });
  ranges.sort((a, b) => (a.from < b.from ? -1 : 1));
  ranges.slice(1).forEach((r, i) =>
    check('mapping-overlap', r.from >= ranges[i].to, () => `${r.where} overlaps ${ranges[i].where}`));
  if (p.mapping.length > 0) {
    const main = text(p.mapping[0].filename, 'mapping');
    check('main-mapping', binary ? main === binary : main.startsWith('/') && !/\.so(\.|$)/.test(main),
      () => `the first mapping is ${JSON.stringify(main)}, expected ${binary ?? 'the program'}`);
  }

  // Functions: name for people, system_name as linked.
  p.function.forEach((f) => {
    const name = text(f.name, 'function');
    const system = text(f.systemName, 'function');
    text(f.filename, 'function');
    check('function-name', name !== '' && system !== '', () => `function ${f.id}: name "${name}", system_name "${system}"`);
    check('name-demangled', !/^_Z[A-Z0-9]/.test(name), () => `function ${f.id}: name "${name}" is mangled`);
    // Names with a bracket first are not C++: [overflow], [module+0x10].
    check('system-name', name !== system || !/\(|::/.test(name) || name.startsWith('['),
      () => `function ${f.id}: "${name}" is also its system_name, so clients shorten it`);
  });

  // Locations: addresses tell stacks apart in deltas.
  const addresses = new Set();
  p.location.forEach((l) => {
    const address = BigInt(l.address);
    const where = `location ${l.id} at 0x${address.toString(16)}`;
    check('address', address !== 0n, () => `${where}: no address`);
    check('address-unique', !addresses.has(address), () => `${where}: another location has this address`);
    addresses.add(address);
    const m = p.mapping[Number(l.mappingId) - 1];
    check('location-mapping', m !== undefined, () => `${where}: no mapping ${l.mappingId}`);
    if (m) check('address-in-mapping', address >= BigInt(m.memoryStart) && address < BigInt(m.memoryLimit),
      () => `${where} is outside mapping ${l.mappingId}`);
    check('location-line', l.line.length > 0, () => `${where} has no line`);
    l.line.forEach((line) => {
      check('line-function', p.function[Number(line.functionId) - 1] !== undefined, () => `${where}: no function ${line.functionId}`);
      check('line-number', BigInt.asIntN(64, BigInt(line.line)) >= 0n, () => `${where}: line ${line.line}`);
    });
  });

  // Samples.
  const seen = new Set();
  p.sample.forEach((s, i) => {
    const where = `sample ${i}`;
    check('sample-location', s.locationId.length > 0, () => `${where} has no location`);
    s.locationId.forEach((id) => check('location-id', p.location[Number(id) - 1] !== undefined, () => `${where}: no location ${id}`));
    check('value-count', s.value.length === types.length, () => `${where} has ${s.value.length} values for ${types.length} types`);
    check('value-negative', s.value.every((v) => BigInt.asIntN(64, BigInt(v)) >= 0n), () => `${where}: ${s.value}`);
    check('value-zero', s.value.some((v) => BigInt(v) !== 0n), () => `${where} is all zero`);
    const keys = s.label.map((l) => text(l.key, where));
    keys.forEach((k) => check('label-key', /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(k), () => `${where}: label key ${JSON.stringify(k)}`));
    check('label-once', new Set(keys).size === keys.length, () => `${where}: a label key twice: ${keys}`);
    s.label.forEach((l, k) => {
      check('label-value', BigInt(l.str) === 0n || BigInt(l.num) === 0n, () => `${where}: label ${keys[k]} has a string and a number`);
      check('num-unit', keys[k] !== 'bytes' || (text(l.numUnit, where) === 'bytes' && BigInt(l.num) > 0n && BigInt(l.str) === 0n),
        () => `${where}: label bytes = ${l.num} with unit "${text(l.numUnit, where)}"`);
    });
    if (kind.types === heapTypes) {
      check('bytes-label', keys.includes('bytes') || s.locationId.length === 1, () => `${where} has no label bytes`);
      const [allocObjects, allocSpace, inuseObjects, inuseSpace] = s.value.map((v) => BigInt(v));
      check('inuse-part', inuseObjects <= allocObjects && inuseSpace <= allocSpace, () => `${where}: more in use than allocated: ${s.value}`);
    }
    if (kind === kinds.mutex) {
      const delay = s.label.find((l, k) => keys[k] === 'delay');
      const power = delay === undefined ? 0n : BigInt(delay.num);
      check('delay-label', s.locationId.length === 1 || (power > 0n && (power & (power - 1n)) === 0n && text(delay.numUnit, where) === 'nanoseconds'),
        () => `${where}: label delay is no power of two in nanoseconds`);
    }
    const labels = s.label.map((l) => [l.key, l.str, l.num, l.numUnit].join(':')).sort();
    const key = `${s.locationId.join()}|${labels}`;
    check('sample-unique', !seen.has(key), () => `${where}: this stack with these labels was there already`);
    seen.add(key);
  });
  check('nonempty', !nonempty || p.sample.length > 0, () => 'no samples');

  if (!anySize) {
    check('size-samples', p.sample.length <= limits.samples, () => `${p.sample.length} samples`);
    check('size-bytes', bytes.length <= limits.bytes, () => `${bytes.length} bytes`);
    check('size-strings', raw.every((s) => s.length <= limits.string), () => 'a string is too long');
    check('size-depth', p.sample.every((s) => s.locationId.length <= limits.depth), () => 'a stack is too deep');
    check('size-labels', p.sample.every((s) => s.label.length <= limits.labels), () => 'a sample has too many labels');
  }
  return found;
}

// The values on which all decoders of the file have to agree.
export function summary(file, decode) {
  const p = decode(plain(file));
  const sums = {};
  p.sampleType.forEach((t, i) => {
    const total = p.sample.reduce((sum, s) => sum + BigInt.asIntN(64, BigInt(s.value[i])), 0n);
    sums[p.stringTable.strings[Number(t.type)]] = total.toString();
  });
  return {
    samples: p.sample.length, locations: p.location.length, functions: p.function.length, mappings: p.mapping.length,
    lines: p.location.reduce((n, l) => n + l.line.length, 0), sums,
  };
}

export function pprofFormat() {
  const { Profile, ...rest } = createRequire(import.meta.url)('pprof-format');
  return { Profile, ...rest, decode: (bytes) => Profile.decode(bytes) };
}

function main(args) {
  const options = {};
  const files = [];
  while (args.length > 0) {
    const a = args.shift();
    if (a === '--kind') options.kind = kindOf(args.shift());
    else if (a === '--binary') options.binary = args.shift();
    else if (a === '--period') options.period = args.shift();
    else if (a === '--nonempty') options.nonempty = true;
    else if (a === '--any-size') options.anySize = true;
    else if (a.startsWith('-')) throw new Error(`${a} is no option`);
    else files.push(a);
  }
  if (!options.kind || files.length === 0) throw new Error('usage: validate.mjs --kind KIND [OPTIONS] FILE...');
  const { decode } = pprofFormat();
  let bad = false;
  for (const name of files) {
    const file = readFileSync(name);
    const found = violations(file, options, decode);
    found.slice(0, 50).forEach(({ rule, what }) => console.log(`${name}: ${rule}: ${what}`));
    if (found.length > 50) console.log(`${name}: and ${found.length - 50} more`);
    if (found.length > 0) bad = true;
    else console.log(JSON.stringify({ file: name, ...summary(file, decode) }));
  }
  return bad ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    process.exitCode = main(process.argv.slice(2));
  } catch (error) {
    console.error(`validate.mjs: ${error.message}`);
    process.exitCode = 2;
  }
}
