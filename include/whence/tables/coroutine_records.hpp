// SPDX-License-Identifier: Apache-2.0
//
// What is known about each living coroutine that is tracked: where it was made, whether and where
// it is suspended, and which coroutine awaits it. A record is two cache lines, taken when the
// coroutine begins and given back when it is destroyed, on any thread. Records never move and are
// never freed (tables/stable_array.hpp); there are more when all are taken.
//
//   free list:  { times it has changed, 32 bits | number of the first, 32 bits }
//
// The free list's changes are counted so that a head which was taken and came back is not mistaken
// for the one before. (R. K. Treiber, Systems Programming: Coping with Parallelism, 1986)
//
// Thread-safe, lock-free. Never allocates from the heap, never throws.
#ifndef WHENCE_TABLES_COROUTINE_RECORDS_HPP
#define WHENCE_TABLES_COROUTINE_RECORDS_HPP

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <whence/instruments/recorder.hpp>
#include <whence/sys/arena.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/stable_array.hpp>
#include <whence/tables/wait_slots.hpp>

namespace whence::inline v1::tables {

// Refers to a coroutine as long as it lives; its record may be another's later.
struct coroutine_ref {
  const coroutine_record* record = nullptr;
  std::uint32_t life = 0;
  friend bool operator==(const coroutine_ref&, const coroutine_ref&) = default;
};

// What is written about a suspension before it begins.
struct suspension_place {
  std::uintptr_t pc = 0;  // the return address of co_await's call
  std::uint32_t labels = 0;
  instruments::suspended how = instruments::suspended::idly;
};

struct coroutine_record {
  static constexpr bool is_zeros_at_first = true;

  wait_slot suspension;  // goes on while the coroutine is suspended; a wait if it has a bucket
  std::atomic<std::uint32_t> life{0};  // odd while the coroutine lives
  std::uint32_t number = 0;            // from 1 on
  std::atomic<bucket*> created{nullptr};
  std::atomic<const coroutine_record*> awaiter{nullptr};
  std::atomic<std::uint32_t> awaiter_life{0};
  std::atomic<std::uint32_t> awaiter_sequence{0};  // of the suspension in which it awaits this one
  std::atomic<std::uint32_t> labels{0};
  std::atomic<std::uintptr_t> pc{0};
  std::atomic<instruments::suspended> how{};
  std::atomic<std::uint32_t> next_free{0};

  coroutine_ref ref() const noexcept { return {this, life.load(std::memory_order_acquire)}; }

  // Called by the thread that suspends `caller`.
  void await_from(coroutine_record& caller) noexcept {
    awaiter.store(&caller, std::memory_order_release);
    awaiter_life.store(caller.life.load(std::memory_order_relaxed), std::memory_order_release);
    awaiter_sequence.store(caller.suspension.sequence.load(std::memory_order_relaxed),
                           std::memory_order_release);
    // The caller waits for what this coroutine waits for, which is counted here.
    caller.suspension.bucket.store(nullptr, std::memory_order_release);
  }

  // Called by the thread that runs the coroutine, before any thread can resume it.
  void suspend(const suspension_place& p, const wait_in_progress& w) noexcept {
    // Release, as in wait_slot::begin.
    pc.store(p.pc, std::memory_order_release);
    labels.store(p.labels, std::memory_order_release);
    how.store(p.how, std::memory_order_release);
    suspension.begin(w);
  }
};

// A suspension that was in progress when it was read.
struct suspended_coroutine {
  coroutine_ref self, awaiter;
  std::uint32_t sequence = 0, awaiter_sequence = 0;
  std::int64_t since_ns = 0;
  const bucket* created = nullptr;
  suspension_place place;

  // False if the coroutine runs, or changed meanwhile three times.
  bool read(const coroutine_record& r) noexcept {
    for (int attempt = 0; attempt < 3; ++attempt) {
      if (read_once(r)) return true;
      if (wait_slot::state(sequence) != wait_slot::goes_on) break;
    }
    return false;
  }

  bool goes_on() const noexcept {
    return wait_slot::state(sequence) == wait_slot::goes_on && self.life % 2 == 1 &&
           self.record->suspension.sequence.load(std::memory_order_acquire) == sequence &&
           self.record->ref() == self;
  }

 private:
  bool read_once(const coroutine_record& r) noexcept {
    sequence = r.suspension.sequence.load(std::memory_order_acquire);
    self = r.ref();
    created = r.created.load(std::memory_order_acquire);
    awaiter = {r.awaiter.load(std::memory_order_acquire),
               r.awaiter_life.load(std::memory_order_acquire)};
    awaiter_sequence = r.awaiter_sequence.load(std::memory_order_acquire);
    since_ns = r.suspension.since_ns.load(std::memory_order_acquire);
    place = {r.pc.load(std::memory_order_acquire), r.labels.load(std::memory_order_acquire),
             r.how.load(std::memory_order_acquire)};
    return goes_on();
  }
};

// Reads the coroutine that awaits `c`. False if no coroutine awaits it (any more): an awaiter that
// has gone on since (its generator yielded) may be suspended again, but for something else.
inline bool read_awaiter(const suspended_coroutine& c, suspended_coroutine& awaiter) noexcept {
  return c.awaiter.record != nullptr && awaiter.read(*c.awaiter.record) &&
         awaiter.self == c.awaiter && awaiter.sequence == c.awaiter_sequence;
}

class coroutine_records {
 public:
  constexpr explicit coroutine_records(sys::arena& memory) noexcept : arena_(memory) {}

  // nullptr if memory is exhausted.
  coroutine_record* take() noexcept {
    coroutine_record* r = take_free();
    if (r == nullptr) r = take_fresh();
    if (r != nullptr) r->life.fetch_add(1, std::memory_order_release);
    return r;
  }

  void give_back(coroutine_record& r) noexcept {
    r.created.store(nullptr, std::memory_order_relaxed);
    r.awaiter.store(nullptr, std::memory_order_relaxed);
    r.life.fetch_add(1, std::memory_order_release);
    std::uint64_t head = free_.load(std::memory_order_relaxed);
    do {
      r.next_free.store(static_cast<std::uint32_t>(head), std::memory_order_relaxed);
    } while (!free_.compare_exchange_weak(head, changed(head, r.number), std::memory_order_release,
                                          std::memory_order_relaxed));
  }

  // Calls visit(record) for each, used or not.
  template <class F>
  void for_each(F&& visit) const {
    const std::uint32_t used = used_.load(std::memory_order_acquire);
    for (std::uint32_t number = 1; number <= used; ++number) {
      if (coroutine_record* const r = at(number)) visit(*r);
    }
  }

  // A thread that was resuming a coroutine is gone, and cannot tell that its wait was counted.
  void after_fork_in_child() noexcept {
    for_each([](coroutine_record& r) {
      const std::uint32_t now = r.suspension.sequence.load(std::memory_order_relaxed);
      if (wait_slot::state(now) == wait_slot::is_counted) r.suspension.end();
    });
  }

 private:
  using records = stable_array<coroutine_record, 24>;  // 10^9 coroutines

  static constexpr std::uint64_t changed(std::uint64_t head, std::uint32_t first) noexcept {
    return ((head >> 32) + 1) << 32 | first;
  }

  coroutine_record* take_free() noexcept {
    std::uint64_t head = free_.load(std::memory_order_acquire);
    while (static_cast<std::uint32_t>(head) != 0) {
      coroutine_record* const r = at(static_cast<std::uint32_t>(head));
      const std::uint32_t next = r->next_free.load(std::memory_order_relaxed);
      if (free_.compare_exchange_weak(head, changed(head, next), std::memory_order_acquire)) {
        return r;
      }
    }
    return nullptr;
  }

  coroutine_record* take_fresh() noexcept {
    std::uint32_t used = used_.load(std::memory_order_relaxed);
    coroutine_record* r = nullptr;
    do {
      r = at_or_made(used + 1);
      if (r == nullptr) return nullptr;
    } while (!used_.compare_exchange_weak(used, used + 1, std::memory_order_acq_rel));
    r->number = used + 1;
    return r;
  }

  struct place {
    std::size_t segment, index;
  };
  static place place_of(std::uint32_t number) noexcept {
    const std::size_t n = number - 1 + records::first_size;
    const auto segment = static_cast<std::size_t>(std::bit_width(n / records::first_size) - 1);
    return {segment, n - records::size_of(segment)};
  }

  coroutine_record* at(std::uint32_t number) const noexcept {
    const place p = place_of(number);
    coroutine_record* const first = p.segment < records::count ? records_.get(p.segment) : nullptr;
    return first == nullptr ? nullptr : first + p.index;
  }

  coroutine_record* at_or_made(std::uint32_t number) noexcept {
    const place p = place_of(number);
    if (p.segment >= records::count) return nullptr;
    coroutine_record* const first = records_.get_or_make(
        p.segment, [this](std::size_t bytes) { return arena_.allocate(bytes); });
    return first == nullptr ? nullptr : first + p.index;
  }

  sys::arena& arena_;
  std::atomic<std::uint64_t> free_{0};
  std::atomic<std::uint32_t> used_{0};
  records records_;
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_COROUTINE_RECORDS_HPP
