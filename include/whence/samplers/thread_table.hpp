// SPDX-License-Identifier: Apache-2.0
//
// A sampler's data for each thread, in entries that never move and are never freed, so that a late
// signal always finds an entry, even if another thread owns it by then (tables/stable_array.hpp).
//
// An entry without a tid is free. Taking and freeing need the sampler's lock; reading is
// signal-safe.
#ifndef WHENCE_SAMPLERS_THREAD_TABLE_HPP
#define WHENCE_SAMPLERS_THREAD_TABLE_HPP

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/state/process_state.hpp>
#include <whence/sys/arena.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/proc_task.hpp>
#include <whence/tables/stable_array.hpp>

namespace whence::inline v1::samplers {

// A delayed handler may still use an entry whose thread is no longer sampled: the entry is not
// reused until all handlers have left it. (Sequentially consistent, as is the timer's exchange:
// either the handler sees that the timer is gone, or the thread that ends it sees the handler.)
template <class Entry>
class entry_in_use {
 public:
  explicit entry_in_use(Entry& e) noexcept : entry_(e) { entry_.in_handler.fetch_add(1); }
  ~entry_in_use() { entry_.in_handler.fetch_sub(1, std::memory_order_release); }
  entry_in_use(const entry_in_use&) = delete;
  entry_in_use& operator=(const entry_in_use&) = delete;

 private:
  Entry& entry_;
};

// Makes room in the entry for a stack of the current depth. False if the kernel gives no memory.
// (As the entries, it is not held to the limit: a program whose stacks fill their share is still
// sampled.)
template <class Entry>
bool give_frames(state::process_state& s, Entry& e) noexcept {
  const auto depth = static_cast<std::size_t>(s.stack_depth.load(std::memory_order_relaxed));
  if (e.capacity >= depth) return true;
  auto* const pcs =
      static_cast<std::uintptr_t*>(s.arena.allocate_always(depth * sizeof(std::uintptr_t)));
  if (pcs == nullptr) return e.pcs != nullptr;
  e.pcs = pcs;
  e.capacity = depth;
  return true;
}

// The threads that are known if the kernel lists none: the first, the one that began the session,
// and those that have a record.
template <class Visit>
void for_each_known(const state::process_state& s, ::pid_t beginner, Visit visit) {
  visit(::getpid());
  if (beginner != ::getpid() && beginner != 0) visit(beginner);
  s.threads.for_each_tid([&](::pid_t tid) {
    if (tid != ::getpid() && tid != beginner) visit(tid);
  });
}

// Entry: std::atomic<pid_t> tid; std::atomic<int> in_handler; bool is_free(); uint32_t seen;
//        std::int64_t last_cpu_ns;
//        uintptr_t* pcs; size_t capacity.
template <class Entry>
class thread_table {
 public:
  constexpr explicit thread_table(sys::arena& memory) noexcept : arena_(memory) {}

  // The entry at this address; nullptr if no entry is there. Signal-safe.
  Entry* at(const void* address) const noexcept { return entries_.at(address); }

  // Signal-safe.
  Entry* find(::pid_t tid) const noexcept {
    return entries_.find(
        [tid](const Entry& e) { return e.tid.load(std::memory_order_acquire) == tid; });
  }

  template <class Visit>
  void for_each(Visit visit) const {
    entries_.for_each([&visit](Entry& e) {
      if (e.tid.load(std::memory_order_acquire) != 0) visit(e);
    });
  }

  // Calls visit(entry) for `most` entries, or until it returns false, and moves `from` to where the
  // next call continues, so that successive calls visit all in turn.
  template <class Visit>
  void for_some(std::size_t& from, std::size_t most, Visit visit) const {
    std::size_t place = 0;
    const Entry* const last = entries_.find([&](Entry& e) {
      if (place++ < from || e.tid.load(std::memory_order_acquire) == 0) return false;
      const bool goes_on = visit(e) && --most > 0;
      if (!goes_on) from = place;
      return !goes_on;
    });
    if (last == nullptr) from = 0;
  }

  // How many threads the last look found and had no memory for.
  int without_entry() const noexcept { return without_entry_; }

  // Frees the entry of that number, if there is one.
  template <class Ends>
  void remove(::pid_t tid, Ends ends) noexcept {
    Entry* const e = find(tid);
    if (e == nullptr) return;
    ends(*e);
    e->tid.store(0, std::memory_order_release);
  }

  // An entry for a new thread, which calls this itself.
  template <class Begins>
  void add(::pid_t tid, Begins begins) noexcept {
    Entry* const e = find(tid) == nullptr ? take() : nullptr;
    if (e == nullptr) return;
    begins(*e, tid);
    e->last_cpu_ns = 0;
    e->seen = look_;
  }

  // Matches the entries to the existing threads: calls begin(entry, tid) for each new thread, which
  // sets the tid, and end(entry) for each ended one, whose entry is then free. skip(tid) tells
  // which threads to leave out. False if threads cannot be listed.
  template <class Skip, class Begins, class Ends>
  bool follow(Skip skip, Begins begins, Ends ends) noexcept {
    ++look_;
    without_entry_ = 0;
    const bool listed = sys::for_each_task([&](::pid_t tid) {
      if (!skip(tid)) meet(tid, begins, ends);
    });
    if (!listed) return false;
    for_each([&](Entry& e) {
      if (e.seen == look_) return;
      ends(e);
      e.tid.store(0, std::memory_order_release);
    });
    return true;
  }

  // To be called after that one if threads cannot be listed: the same, with those that list(visit)
  // tells: other entries stay for as long as their threads live.
  template <class List, class Skip, class Begins, class Ends>
  void follow_known(List list, Skip skip, Begins begins, Ends ends) noexcept {
    list([&](::pid_t tid) {
      if (!skip(tid) && sys::thread_cpu_ns(tid) >= 0) meet(tid, begins, ends);
    });
    for_each([&](Entry& e) {
      if (sys::thread_cpu_ns(e.tid.load(std::memory_order_relaxed)) >= 0) return;
      ends(e);
      e.tid.store(0, std::memory_order_release);
    });
  }

  template <class Ends>
  void clear(Ends ends) noexcept {
    for_each([&](Entry& e) {
      ends(e);
      e.tid.store(0, std::memory_order_release);
    });
  }

 private:
  using entries = tables::stable_array<Entry, 12>;

  template <class Begins, class Ends>
  void meet(::pid_t tid, Begins& begins, Ends& ends) noexcept {
    const std::int64_t cpu = sys::thread_cpu_ns(tid);
    Entry* e = find_next(tid);
    if (e != nullptr && cpu < e->last_cpu_ns) {
      // A CPU clock never goes back, so another thread has this number now. A handler of the former
      // one may still use this entry.
      ends(*e);
      e->tid.store(0, std::memory_order_release);
      e = nullptr;
    }
    if (e == nullptr) {
      e = take();
      if (e != nullptr) begins(*e, tid);
      if (e == nullptr || e->tid.load(std::memory_order_relaxed) != tid) {
        ++without_entry_;
        return;
      }
    }
    e->last_cpu_ns = cpu;
    e->seen = look_;
  }

  // The kernel lists threads in the order of their creation, which is mostly the order of the
  // entries: so each search continues where the last one ended.
  Entry* find_next(::pid_t tid) noexcept {
    for (int round = 0; round < 2; ++round) {
      for (; segment_ < entries::count; ++segment_, index_ = 0) {
        Entry* const first = entries_.get(segment_);
        if (first == nullptr) break;
        for (; index_ < entries::size_of(segment_); ++index_) {
          if (first[index_].tid.load(std::memory_order_relaxed) == tid) return first + index_++;
        }
      }
      segment_ = 0;
      index_ = 0;
    }
    return nullptr;
  }

  Entry* take() noexcept {
    Entry* const e = entries_.find([](const Entry& entry) { return entry.is_free(); });
    if (e != nullptr) return e;
    for (std::size_t k = 0; k < entries::count; ++k) {
      if (entries_.get(k) != nullptr) continue;
      return entries_.get_or_make(
          k, [this](std::size_t bytes) { return arena_.allocate_always(bytes); });
    }
    return nullptr;
  }

  sys::arena& arena_;
  entries entries_;
  std::uint32_t look_ = 0;
  int without_entry_ = 0;
  std::size_t segment_ = 0, index_ = 0;  // where find_next continues
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_THREAD_TABLE_HPP
