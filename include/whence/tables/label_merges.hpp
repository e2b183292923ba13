// SPDX-License-Identifier: Apache-2.0
//
// One set of labels over another: the union, in which the upper set decides about keys that both
// have. A program merges the same few sets again and again, so each result is kept in one word:
//
//   | below, 20 bits | above, 20 bits | their union, 20 bits |          4096 words, direct-mapped
//
// Thread-safe, lock-free if the result is kept. Never allocates from the heap, never throws.
#ifndef WHENCE_TABLES_LABEL_MERGES_HPP
#define WHENCE_TABLES_LABEL_MERGES_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/sys/arena.hpp>
#include <whence/sys/guard.hpp>
#include <whence/sys/spin_lock.hpp>
#include <whence/tables/label_sets.hpp>
#include <whence/tables/losses.hpp>

namespace whence::inline v1::tables {

// The most labels of a program's set, and of a set with the labels that a sampler adds.
inline constexpr std::size_t most_labels = 64;
inline constexpr std::size_t most_with_state = most_labels + 1;

class label_merges {
 public:
  constexpr label_merges(sys::arena& memory, label_sets& sets, losses& lost) noexcept
      : arena_(memory), sets_(sets), losses_(lost) {}

  // The set of `above` over `below`. label_sets::overflow, and counted so, if there is no room for
  // it. Not for signal handlers.
  std::uint32_t over(std::uint32_t below, std::uint32_t above,
                     std::size_t most = most_labels) noexcept {
    replaced_labels nowhere;
    return over(below, above, nowhere, most);
  }

  // Adds the labels to `replaced` that the union has as `[other]`, and the sets do not. It has no
  // room, or room for `most`.
  std::uint32_t over(std::uint32_t below, std::uint32_t above, replaced_labels& replaced,
                     std::size_t most = most_labels) noexcept {
    if (below == label_sets::none) return above;
    if (above == label_sets::none) return below;
    const std::uint64_t word = word_of(below, above);
    return (word >> bits) == pair(below, above) ? id_in(word) : merge(below, above, most, replaced);
  }

 private:
  static constexpr int bits = 20;
  static constexpr std::size_t size = 4096;
  using words = std::atomic<std::uint64_t>[size];

  static constexpr std::uint64_t pair(std::uint32_t below, std::uint32_t above) noexcept {
    return std::uint64_t{below} << bits | above;
  }
  static constexpr std::uint32_t id_in(std::uint64_t word) noexcept {
    return word & ((1U << bits) - 1);
  }
  static constexpr std::size_t place(std::uint32_t below, std::uint32_t above) noexcept {
    return (below * 0x9e3779b1U ^ above * 0x85ebca6bU) >> 20;
  }
  static_assert(label_sets::overflow >> bits == 0 && size == std::size_t{1} << (32 - 20));

  std::uint64_t word_of(std::uint32_t below, std::uint32_t above) const noexcept {
    const words* const kept = kept_.load(std::memory_order_acquire);
    return kept == nullptr ? 0 : (*kept)[place(below, above)].load(std::memory_order_relaxed);
  }

  [[gnu::noinline, gnu::cold]] std::uint32_t merge(std::uint32_t below, std::uint32_t above,
                                                   std::size_t most,
                                                   replaced_labels& replaced) noexcept {
    bool is_whole = true;
    const std::uint32_t id =
        merge(sets_.of(below), sets_.of(above), most, [&](const replaced_labels& all) {
          is_whole = false;
          for (const replaced_label& l : all) {
            if (replaced.items != nullptr) replaced.add(l);
          }
        });
    // There may be room next time.
    if (id == label_sets::overflow || !is_whole) return id;
    words* kept = kept_.load(std::memory_order_acquire);
    if (kept == nullptr) kept = make_words();
    if (kept == nullptr) return id;
    (*kept)[place(below, above)].store(pair(below, above) << bits | id, std::memory_order_relaxed);
    return id;
  }

  // The sets' lock, which fork holds, makes it once.
  words* make_words() noexcept {
    const sys::guard hold(sets_.lock());
    words* kept = kept_.load(std::memory_order_relaxed);
    if (kept == nullptr) {
      kept = static_cast<words*>(arena_.allocate(sizeof(words)));
      kept_.store(kept, std::memory_order_release);
    }
    return kept;
  }

  template <class Replaced>
  std::uint32_t merge(instruments::label_list below, instruments::label_list above,
                      std::size_t most, Replaced replaced) noexcept {
    instruments::label both[most_with_state];
    std::size_t n = 0;
    std::size_t b = 0;
    std::size_t a = 0;
    for (; b < below.size() || a < above.size(); ++n) {
      if (n == most) {
        losses_.count(loss::labels);
        return label_sets::overflow;
      }
      const bool from_below =
          a == above.size() || (b < below.size() && below[b].key < above[a].key);
      if (!from_below && b < below.size() && below[b].key == above[a].key) ++b;
      both[n] = from_below ? below[b++] : above[a++];
    }
    return static_cast<std::uint32_t>(
        sets_.intern({both, n}, [&](std::uint32_t number, const replaced_labels& all) {
          replaced(all);
          return std::uint64_t{number};
        }));
  }

  sys::arena& arena_;
  label_sets& sets_;
  losses& losses_;
  std::atomic<words*> kept_{nullptr};
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_LABEL_MERGES_HPP
