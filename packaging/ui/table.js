// SPDX-License-Identifier: Apache-2.0
//
// The third part of the script: the table of functions, and the search.

// ---- the table

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

// ---- search

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
