// SPDX-License-Identifier: Apache-2.0
//
// What was counted in a list of buckets between two moments. The list grows only at its head, so
// the values noted at the beginning belong to the last buckets of the list at the end.
//
//   begin    head ─> b ─> a                      noted: b, a
//   end      head ─> d ─> c ─> b ─> a            d, c: all of it;  b, a: less what was noted
//
// Thread-safe, concurrent with recording. Not for signal handlers. Memory: 16 bytes a bucket.
#ifndef WHENCE_SAMPLERS_WINDOW_HPP
#define WHENCE_SAMPLERS_WINDOW_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <whence/profile/counters.hpp>
#include <whence/profile/kinds.hpp>
#include <whence/profile/rows.hpp>
#include <whence/profile/snapshot.hpp>
#include <whence/stack/bucket.hpp>
#include <whence/stack/label_sets.hpp>

namespace whence::inline v1::samplers {

template <class = void>
class basic_window {
 public:
  // Throws: std::bad_alloc.
  explicit basic_window(const stack::bucket_list& list) : list_(list) {
    note(list.head, head_);
    note(list.overflow, overflow_);
  }

  // Calls visit(row) for everything counted since the beginning.
  template <class Visit>
  void for_each_row(core::kind k, const stack::label_sets& labels, Visit visit) const {
    for_each_row_in(list_.head, head_, k, labels, visit);
    for_each_row_in(list_.overflow, overflow_, k, labels, visit);
  }

 private:
  struct amounts {
    std::int64_t samples, time;
  };
  struct chain {
    const stack::bucket* head = nullptr;
    std::vector<amounts> at_begin;
  };
  using place = std::atomic<stack::bucket*>;

  static amounts read(const stack::bucket& b) noexcept {
    return {b.counters[core::sample_counter].load(std::memory_order_relaxed),
            b.counters[core::time_counter].load(std::memory_order_relaxed)};
  }

  static void note(const place& head, chain& c) {
    // Acquire pairs with the list's push: a bucket seen here is complete.
    c.head = head.load(std::memory_order_acquire);
    for (const stack::bucket* b = c.head; b != nullptr; b = b->next) c.at_begin.push_back(read(*b));
  }

  template <class Visit>
  static void for_each_row_in(const place& head, const chain& c, core::kind k,
                              const stack::label_sets& labels, Visit& visit) {
    std::size_t known = 0;
    bool is_known = false;
    for (const stack::bucket* b = head.load(std::memory_order_acquire); b != nullptr; b = b->next) {
      is_known = is_known || b == c.head;
      amounts now = read(*b);
      if (is_known) {
        const amounts& before = c.at_begin[known++];
        now = {now.samples - before.samples, now.time - before.time};
      }
      if (now.samples == 0 && now.time == 0) continue;
      profile_row row = core::row_of(k, *b, labels);
      row.values[0] = now.samples;
      row.values[1] = now.time;
      row.raw = row.values;
      visit(row);
    }
  }

  const stack::bucket_list& list_;
  chain head_, overflow_;
};
using window = basic_window<>;

// A row with one frame that is not code.
template <class = void>
inline profile_row pseudo_row(const std::uintptr_t& frame, std::int64_t time_ns) {
  profile_row row;
  row.stack = {&frame, 1};
  row.values[1] = time_ns;
  row.raw = row.values;
  return row;
}

inline constexpr std::uintptr_t unsampled_frame = stack::pseudo::unsampled;
inline constexpr std::uintptr_t profiler_frame = stack::pseudo::profiler;

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_WINDOW_HPP
