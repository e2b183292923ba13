// SPDX-License-Identifier: Apache-2.0
//
// A bucket: one stack of one profile, and what was counted there. Except for its counters it is
// written once, before any other thread can see it; it never moves, and lives as long as its table.
//
//   line 0   | identity, 16 | counters, 4 x 8 | number, 8 | labels, 4 | list, 2 | depth+flags, 2
//   line 1   | next, 8 | rate, 8 | type, 8 | return addresses, leaf first, 8 each ... |
//   samples  | words of labels, 8 | labels beyond the set, as label_values.hpp ...
//
// Line 0 is all that recording touches. A list strings the buckets of one profile together, newest
// first, for the readers of the profile.
#ifndef WHENCE_TABLES_BUCKET_HPP
#define WHENCE_TABLES_BUCKET_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/sys/atomic_word.hpp>
#include <whence/tables/label_values.hpp>
#include <whence/tables/stack_hash.hpp>

namespace whence::inline v1::tables {

// The return addresses of a captured stack, leaf first, and what is special about them.
struct frames {
  const std::uintptr_t* pcs = nullptr;
  std::size_t depth = 0;
  bool truncated = false;   // the root end is missing
  bool leaf_is_ip = false;  // pcs[0] is an interrupted instruction, not a return address
};

// What distinguishes two buckets of one profile.
struct key {
  frames stack;
  std::uint64_t number = 0;    // heap: bytes of one allocation; mutex: power of two of the delay
  std::int64_t rate = 0;       // heap: mean bytes between samples when it was taken, below 2^44
  std::uint32_t labels = 0;    // id of the label set; 0: the empty set
  const char* type = nullptr;  // heap: name of what was allocated, from type_names
  const label_values* values = nullptr;  // samples: those beyond the set; `number`: their hash
};

inline constexpr int counter_count = 4;

struct alignas(64) bucket {
  hash128 identity;
  sys::atomic_word<std::int64_t> counters[counter_count];
  std::uint64_t number;
  std::uint32_t labels;
  std::uint16_t list;
  std::uint16_t depth_and_flags;

  bucket* next;
  std::int64_t rate;
  const char* type;

  static constexpr std::uint16_t truncated_flag = 0x8000;
  static constexpr std::uint16_t leaf_is_ip_flag = 0x4000;
  static constexpr std::uint16_t overflow_flag = 0x2000;
  static constexpr std::uint16_t has_values_flag = 0x1000;
  static constexpr std::uint16_t depth_bits = 0x0fff;

  std::size_t depth() const noexcept { return depth_and_flags & depth_bits; }
  bool truncated() const noexcept { return (depth_and_flags & truncated_flag) != 0; }
  bool leaf_is_ip() const noexcept { return (depth_and_flags & leaf_is_ip_flag) != 0; }
  bool overflow() const noexcept { return (depth_and_flags & overflow_flag) != 0; }

  // The addresses follow the struct's last member, not its end.
  static constexpr std::size_t pcs_offset = 88;
  std::uintptr_t* pcs() noexcept {
    return reinterpret_cast<std::uintptr_t*>(reinterpret_cast<char*>(this) + pcs_offset);
  }
  const std::uintptr_t* pcs() const noexcept { return const_cast<bucket*>(this)->pcs(); }

  // The bucket whose pcs() these are.
  static const bucket& of_pcs(const std::uintptr_t* pcs) noexcept {
    return *reinterpret_cast<const bucket*>(reinterpret_cast<const char*>(pcs) - pcs_offset);
  }

  static constexpr std::size_t bytes(std::size_t depth, std::size_t value_words = 0) noexcept {
    const std::size_t words = value_words == 0 ? 0 : value_words + 1;
    return pcs_offset + depth * sizeof(std::uintptr_t) + words * sizeof(std::uint64_t);
  }
  std::size_t bytes() const noexcept { return bytes(depth(), values().size); }

  // The labels beyond the set, which follow the addresses: the number of their words comes first.
  label_values values() const noexcept {
    if ((depth_and_flags & has_values_flag) == 0) return {};
    const auto* const words = reinterpret_cast<const std::atomic<std::uint64_t>*>(pcs() + depth());
    return {words + 1, words->load(std::memory_order_relaxed), number};
  }
  // Copies them. Requires: there is room. False if they are not valid any more: then there are
  // none.
  bool set_values(const label_values& from) noexcept {
    if (from.empty()) return true;
    depth_and_flags |= has_values_flag;
    auto* const words = reinterpret_cast<std::atomic<std::uint64_t>*>(pcs() + depth());
    for (std::size_t i = 0; i < from.size; ++i) {
      ::new (words + 1 + i)
          std::atomic<std::uint64_t>(from.words[i].load(std::memory_order_acquire));
    }
    const bool valid = from.still_valid();
    ::new (words) std::atomic<std::uint64_t>(valid ? from.size : 0);
    return valid;
  }

  frames stack() const noexcept { return {pcs(), depth(), truncated(), leaf_is_ip()}; }

  // Release: a thread that sees an end counted sees its begin counted, too.
  void add(int counter, std::int64_t value) noexcept {
    counters[counter].fetch_add(value, std::memory_order_release);
  }
};
static_assert(offsetof(bucket, next) == 64, "recording touches one cache line");
static_assert(offsetof(bucket, type) + sizeof(const char*) == bucket::pcs_offset);

// The buckets of one profile, in two chains linked by bucket::next.
struct bucket_list {
  std::uint16_t id = 0;                    // unique in the process; part of every identity
  std::atomic<bucket*> head{nullptr};      // newest first
  std::atomic<bucket*> overflow{nullptr};  // the [overflow] buckets, one for each rate
  std::atomic<std::size_t> size{0};        // buckets in both

  template <class F>
  void for_each(F&& visit) const {
    // Acquire pairs with push: a bucket seen here is complete.
    for (bucket* b = head.load(std::memory_order_acquire); b != nullptr; b = b->next) visit(*b);
    for (bucket* b = overflow.load(std::memory_order_acquire); b != nullptr; b = b->next) visit(*b);
  }

  void push(bucket* b) noexcept {
    b->next = head.load(std::memory_order_relaxed);
    while (!head.compare_exchange_weak(b->next, b, std::memory_order_release,
                                       std::memory_order_relaxed)) {
    }
    size.fetch_add(1, std::memory_order_relaxed);
  }
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_BUCKET_HPP
