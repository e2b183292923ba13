// SPDX-License-Identifier: Apache-2.0
//
// The stacks of a sampler, which hardly ever repeat, in tables that are freed again. An epoch
// begins when a window opens; a window is the sum of the epochs since then:
//
//   window 1   |-------------------------------------->        epochs 1, 2, 3
//   window 2             |---------->                          epochs 2, 3
//   window 3                    |--------------------->        epochs 3
//              |epoch 1  |epoch 2|epoch 3
//
// When a window closes, the epoch that it began spans the same windows as the one before, and is
// merged into it; if no window is left that spans an epoch, it is freed. So there are never more
// epochs than open windows, and samples go to the newest that a window began.
//
// Room: an epoch that grows, as the current one does and one that another is merged into, may take
// half of what the others leave. So a window alone may fill half of the share, and each that opens
// finds room, even beside windows that stay open for ever. What does not fit is on [overflow] in
// its epoch, hence in no later window.
//
// A handler that was interrupted may hold an epoch for long. So the word that names the current one
// counts how often it was taken, and the epoch how often it was given back:
//
//   current:  | entries, 28 bits | number of the epoch's first page, 36 bits |
//
// An epoch is merged or freed only if it is no longer current and both are equal; until then it
// waits for the next call. (Split reference counts: A. Williams, C++ Concurrency in Action, 7.2.4)
//
// Entering is lock-free and signal-safe. The rest is thread-safe, and not for signal handlers.
#ifndef WHENCE_TABLES_SAMPLE_EPOCHS_HPP
#define WHENCE_TABLES_SAMPLE_EPOCHS_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include <whence/sys/arena.hpp>
#include <whence/sys/futex_mutex.hpp>
#include <whence/sys/guard.hpp>
#include <whence/sys/nap.hpp>
#include <whence/sys/pages.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/losses.hpp>
#include <whence/tables/table.hpp>

namespace whence::inline v1::tables {

// A window, in its owner's memory.
struct open_window {
  std::uint64_t first = 0;  // the number of the epoch that it began; 0: it is not open
  open_window* next = nullptr;
};

class sample_epochs {
  struct epoch {
    epoch(sys::memory_budget& share, losses& all_lost, std::uint16_t list_id,
          std::uint64_t n) noexcept
        : lost(all_lost),
          budget(0, &share),
          stacks(memory, all_lost, loss::samples),
          list{.id = list_id},
          number(n) {}

    losses& lost;
    sys::memory_budget budget;
    sys::arena memory{budget};
    table stacks;
    bucket_list list;
    const std::uint64_t number;
    epoch* older = nullptr;
    std::uint64_t entered = 0;                 // entries until it was no longer current
    std::atomic<std::uint64_t> given_back{0};  // entries that have ended
  };

 public:
  // `id`: of the lists, unique in the process.
  constexpr sample_epochs(std::uint16_t id, sys::memory_budget& share, losses& lost) noexcept
      : id_(id), share_(share), losses_(lost) {}

  // Keeps the current epoch as long as it lives. Signal-safe.
  class entry {
   public:
    explicit entry(sample_epochs& all) noexcept
        : it_(epoch_in(all.current_.fetch_add(one_entry, std::memory_order_acquire))) {}
    ~entry() {
      // Release: the thread that frees the epoch does so after this use.
      if (it_ != nullptr) it_->given_back.fetch_add(1, std::memory_order_release);
    }
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;

    // The current epoch's, which is never 0; 0 if no window is open.
    std::uint64_t number() const noexcept { return it_ == nullptr ? 0 : it_->number; }

    // Works as table::record; nullptr also if no window is open. The bucket is there as long as
    // this object, or until the epoch's number is no longer the current one.
    bucket* record(const key& k) const noexcept {
      if (it_ == nullptr) return nullptr;
      return k.values == nullptr ? it_->stacks.record(it_->list, k) : record_with_values(k);
    }

   private:
    // Values beyond the label sets, of which there is no end, leave a quarter of the epoch's room
    // to stacks without: then the sample is at its stack, and its labels are [other].
    bucket* record_with_values(const key& k) const noexcept {
      const sys::memory_budget& room = it_->budget;
      if (room.used() / 3 < room.limit() / 4) return it_->stacks.record(it_->list, k);
      if (bucket* const known = it_->stacks.known(it_->list, k)) return known;
      it_->lost.count(loss::passing_labels);
      key without = k;
      without.number = 0;
      without.values = nullptr;
      return it_->stacks.record(it_->list, without);
    }

    epoch* const it_;
  };

  // False if the kernel gives no memory.
  bool open(open_window& w) noexcept {
    const sys::guard hold(lock_);
    void* const pages = sys::map_pages(sizeof(epoch));
    if (pages == nullptr) return false;
    auto* const made = ::new (pages) epoch(share_, losses_, id_, ++last_number_);
    made->older = newest_;
    newest_ = made;
    w.first = made->number;
    w.next = windows_;
    windows_ = &w;
    enter(made);
    settle();
    return true;
  }

  void close(open_window& w) noexcept {
    const sys::guard hold(lock_);
    for (open_window** at = &windows_; *at != nullptr; at = &(*at)->next) {
      if (*at != &w) continue;
      *at = w.next;
      break;
    }
    w.first = 0;
    epoch* newest = newest_;
    while (newest != nullptr && !is_begun_by_window(*newest)) newest = newest->older;
    enter(newest);
    // A handler takes microseconds unless its thread loses the processor.
    for (int naps = 0; !settle() && windows_ == nullptr && naps < most_naps; ++naps) sys::nap();
  }

  // Calls visit(const bucket&) for all that was counted since the window opened; a stack is visited
  // once for each of its epochs. No window opens or closes meanwhile. Throws: as visit does.
  template <class Visit>
  void for_each(const open_window& w, Visit visit) {
    const sys::guard hold(lock_);
    settle();
    if (w.first == 0) return;
    for (const epoch* e = newest_; e != nullptr && e->number >= w.first; e = e->older) {
      e->list.for_each(visit);
    }
  }

  // How many epochs there are.
  std::size_t count() noexcept {
    const sys::guard hold(lock_);
    settle();
    std::size_t n = 0;
    for (const epoch* e = newest_; e != nullptr; e = e->older) ++n;
    return n;
  }

  // Runs in a child of fork, in which no other thread is: closes all windows. If a thread of the
  // parent was changing the epochs at that moment, their memory stays mapped.
  void after_fork_in_child() noexcept {
    const bool is_whole = lock_.try_lock();
    current_.store(0, std::memory_order_relaxed);
    windows_ = nullptr;
    while (newest_ != nullptr) {
      epoch* const e = newest_;
      newest_ = e->older;
      if (is_whole) {
        destroy(*e);
      } else {
        e->budget.give_all_back();
      }
    }
    lock_.unlock();
  }

 private:
  static constexpr int page_bits = 12;
  static constexpr int address_bits = 36;  // 2^48 bytes of address space
  static constexpr std::uint64_t one_entry = std::uint64_t{1} << address_bits;
  static constexpr std::uint64_t all_entries = ~std::uint64_t{0} >> address_bits;
  static constexpr int most_naps = 500;  // 10 ms

  static epoch* epoch_in(std::uint64_t word) noexcept {
    return reinterpret_cast<epoch*>((word & (one_entry - 1)) << page_bits);
  }

  // Requires: lock_ is held. Makes `e` the current epoch; nullptr: none.
  void enter(epoch* e) noexcept {
    const std::uint64_t word = current_.load(std::memory_order_relaxed);
    if (epoch_in(word) == e) return;
    if (e != nullptr) give_room(*e);
    const std::uint64_t page = reinterpret_cast<std::uintptr_t>(e) >> page_bits;
    const std::uint64_t entries = e == nullptr ? 0 : e->entered << address_bits;
    const std::uint64_t before = current_.exchange(entries | page, std::memory_order_acq_rel);
    if (epoch* const left = epoch_in(before)) left->entered = before >> address_bits;
  }

  bool is_begun_by_window(const epoch& e) const noexcept {
    for (const open_window* w = windows_; w != nullptr; w = w->next) {
      if (w->first == e.number) return true;
    }
    return false;
  }

  // Acquire pairs with ~entry.
  static bool is_left(const epoch& e) noexcept {
    return ((e.entered - e.given_back.load(std::memory_order_acquire)) & all_entries) == 0;
  }

  // Requires: lock_ is held. Merges or frees the epochs that no window began. False if one has to
  // wait for a handler.
  bool settle() noexcept {
    epoch* const current = epoch_in(current_.load(std::memory_order_relaxed));
    bool all = true;
    for (epoch** at = &newest_; *at != nullptr;) {
      epoch& e = **at;
      if (&e == current || is_begun_by_window(e)) {
        at = &e.older;
      } else if (!is_left(e)) {
        all = false;
        at = &e.older;
      } else {
        if (e.older != nullptr) {
          give_room(*e.older, e.budget.used());
          merge(e, *e.older);
        }
        *at = e.older;
        destroy(e);
      }
    }
    if (current != nullptr) give_room(*current);
    return all;
  }

  // Half of what the others leave. `freed_next`: what the epoch that is merged into it holds.
  void give_room(epoch& e, std::size_t freed_next = 0) const noexcept {
    e.budget.set_limit((e.budget.used() + freed_next + share_.left()) / 2);
  }

  // Requires: `from` is used no longer.
  void merge(epoch& from, epoch& into) noexcept {
    from.list.for_each([&](const bucket& b) {
      bucket* const same = into.stacks.move_in(into.list, b);
      const std::int64_t samples = b.counters[0].load(std::memory_order_relaxed);
      if (same == nullptr) return losses_.count(loss::dropped, samples);
      if (same->overflow() && !b.overflow()) losses_.count(loss::samples, samples - 1);
      for (int i = 0; i < counter_count; ++i) {
        same->add(i, b.counters[i].load(std::memory_order_relaxed));
      }
    });
  }

  static void destroy(epoch& e) noexcept {
    e.stacks.release();
    e.budget.give_all_back();
    sys::unmap_pages(&e, sizeof(epoch));
  }

  const std::uint16_t id_;
  sys::memory_budget& share_;
  losses& losses_;
  std::atomic<std::uint64_t> current_{0};
  sys::futex_mutex lock_;
  epoch* newest_ = nullptr;
  open_window* windows_ = nullptr;
  std::uint64_t last_number_ = 0;
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_SAMPLE_EPOCHS_HPP
