// SPDX-License-Identifier: Apache-2.0
//
// Turns the buckets of a live profile into rows, one at a time, so a writer needs no copy of them.
//
// Buckets of one heap stack that differ only in their rate make one row: if the rate has changed,
// they are sorted side by side first. Thread-safe, concurrent with recording.
#ifndef WHENCE_SNAPSHOTS_ROWS_HPP
#define WHENCE_SNAPSHOTS_ROWS_HPP

#include <cstddef>
#include <cstdint>

#include <whence/core/counters.hpp>
#include <whence/core/kinds.hpp>
#include <whence/core/profile.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/snapshots/waits_in_progress.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/vector.hpp>
#include <whence/sys/work_check.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/table.hpp>

namespace whence::inline v1::snapshots {

inline profile_row row_of(instruments::kind k, const tables::bucket& b,
                          const tables::label_sets& labels) {
  profile_row row;
  row.stack = {b.pcs(), b.depth()};
  row.leaf_is_ip = b.leaf_is_ip();
  row.truncated = b.truncated();
  row.labels = labels.of(b.labels);
  if (b.type != nullptr) row.type = b.type;
  row.number = static_cast<std::int64_t>(b.number);
  if (core::info(k).is_scaled) {
    const core::heap_values v = core::read_heap(b);
    row.values = {v.allocated.objects, v.allocated.bytes, v.in_use.objects, v.in_use.bytes};
    row.raw = {v.raw_allocated.objects, v.raw_allocated.bytes, v.raw_in_use.objects,
               v.raw_in_use.bytes};
  } else {
    for (int i = 0; i < core::info(k).value_count; ++i) {
      row.values[static_cast<std::size_t>(i)] = b.counters[i].load(std::memory_order_acquire);
    }
    row.raw = row.values;
  }
  return row;
}

inline bool is_zero(const profile_row& row) {
  return sys::all_of(row.values, [](std::int64_t v) { return v == 0; });
}

inline bool rates_differ(const tables::bucket_list& list) {
  bool differ = false;
  const tables::bucket* first = nullptr;
  list.for_each([&](const tables::bucket& b) {
    if (first == nullptr) first = &b;
    differ = differ || b.rate != first->rate;
  });
  return differ;
}

// What two buckets share that differ only in their rate.
inline tables::hash128 identity_without_rate(const tables::bucket_list& list,
                                             const tables::bucket& b) {
  return tables::table::identify(list, {b.stack(), b.number, 0, b.labels, b.type});
}

template <class F>
void for_each_merged_row(instruments::kind k, const tables::bucket_list& list,
                         const tables::label_sets& labels, F&& visit, sys::work_check check) {
  struct item {
    tables::hash128 identity;
    const tables::bucket* bucket;
  };
  sys::vector<item> items;
  list.for_each([&](const tables::bucket& b) {
    check.step();
    items.push_back({identity_without_rate(list, b), &b});
  });
  sys::sort(items, [&check](const item& a, const item& b) {
    check.step();
    return a.identity.high != b.identity.high ? a.identity.high < b.identity.high
                                              : a.identity.low < b.identity.low;
  });
  for (std::size_t i = 0; i < items.size();) {
    check.step();
    profile_row row = row_of(k, *items[i].bucket, labels);
    for (const std::size_t first = i++;
         i < items.size() && items[i].identity == items[first].identity; ++i) {
      const profile_row more = row_of(k, *items[i].bucket, labels);
      for (std::size_t v = 0; v < row.values.size(); ++v) {
        row.values[v] += more.values[v];
        row.raw[v] += more.raw[v];
      }
    }
    if (!is_zero(row)) visit(row);
  }
}

// Calls visit(const profile_row&) for every row that has a value; no two have the same stack,
// labels, type and number. Throws: as the check and visit.
template <class F>
void for_each_row(const state::process_state& s, const profile& p, F&& visit,
                  sys::work_check check = {}) {
  if (rates_differ(p.rows())) {
    return for_each_merged_row(p.kind(), p.rows(), s.labels, visit, check);
  }
  const auto visit_all = [&](auto&& row_at) {
    p.rows().for_each([&](const tables::bucket& b) {
      check.step();
      const profile_row row = row_at(b);
      if (!is_zero(row)) visit(row);
    });
  };
  const auto read = [&](const tables::bucket& b) { return row_of(p.kind(), b, s.labels); };
  if (!core::info(p.kind()).has_open_waits) return visit_all(read);
  const waits_in_progress now(s);
  visit_all([&](const tables::bucket& b) {
    profile_row row = now.row(b, [&] { return read(b); });
    row.raw = row.values;
    return row;
  });
}

}  // namespace whence::inline v1::snapshots

#endif  // WHENCE_SNAPSHOTS_ROWS_HPP
