// SPDX-License-Identifier: Apache-2.0
//
// Which threads of a dump wait for tracked locks, which threads hold those, and which waits form a
// circle.
//
// A thread is found by an address on its stack: it belongs to the thread whose stack pointer is the
// nearest below it. A lock names the thread that took it last, which holds it only if nothing
// changes meanwhile; a circle is a deadlock only if it still exists after a while in which none of
// its threads has run.
#ifndef WHENCE_DUMPS_LOCK_WAITS_HPP
#define WHENCE_DUMPS_LOCK_WAITS_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <whence/dumps/dumped_thread.hpp>
#include <whence/snapshots/thread_snapshot.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/nap.hpp>
#include <whence/sys/safe_read.hpp>
#include <whence/sys/vector.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/label_sets.hpp>
#include <whence/tables/wait_slots.hpp>

namespace whence::inline v1::dumps {

template <class = void>
class basic_lock_waits {
 public:
  using threads = sys::vector<dumped_thread>;

  // Throws: std::bad_alloc.
  basic_lock_waits(const state::process_state& s, const threads& all,
                   std::vector<std::uintptr_t>& frames)
      : threads_(all), frames_(frames) {
    const tables::wait_slots* const slots = s.waits.load(std::memory_order_acquire);
    if (slots == nullptr) return;
    sys::vector<seen_wait> found;
    found.reserve(all.size() + 64);  // visiting slots must not allocate
    slots->for_each([&](const tables::wait_slot& slot, std::uint32_t sequence,
                        const tables::wait_in_progress& w) {
      if (w.lock != nullptr && found.size() < found.capacity())
        found.push_back({&slot, sequence, w});
    });
    // What a sleeping thread waits for was read with its stack.
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].wait.slot != nullptr) add(s, all[i].wait, i);
    }
    for (seen_wait& f : found) {
      const std::size_t waiter = owner_of(f.wait.sp);
      if (waiter == no_thread || !all[waiter].frame_sps.empty() || !f.read_holder()) continue;
      add(s, f, waiter);
    }
    for (std::size_t i = 0; i < waits_.size(); ++i) waits_[i].is_held = is_held(i);
  }

  // The circles that last. Waits some milliseconds to be sure, if there is a circle.
  sys::vector<sys::vector<std::size_t>> deadlocks() const {
    sys::vector<sys::vector<std::size_t>> found = circles();
    if (found.empty()) return found;
    for (int i = 0; i < 500; ++i) sys::nap();
    sys::erase_if(found, [this](const sys::vector<std::size_t>& circle) {
      for (const std::size_t w : circle) {
        if (!stays(w)) return true;
      }
      return false;
    });
    return found;
  }

  // The waits; their stacks point into `frames`. Requires: `frames` does not grow any more.
  sys::vector<snapshots::lock_wait> take() const {
    sys::vector<snapshots::lock_wait> all = waits_;
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i].taken.stack = {frames_.data() + taken_[i].first, taken_[i].depth};
    }
    return all;
  }

 private:
  struct part {
    std::size_t first, depth;
  };
  static constexpr std::size_t no_thread = snapshots::lock_wait::no_thread;
  static constexpr std::uintptr_t longest_stack = std::uintptr_t{8} << 20;
  static constexpr std::uintptr_t returned = std::uintptr_t{64} << 10;

  void add(const state::process_state& s, const seen_wait& f, std::size_t waiter) {
    snapshots::lock_wait w;
    w.waiter = waiter;
    w.may_give_up = f.wait.may_give_up;
    w.holder = f.holder_sp == 0 ? no_thread : owner_of(f.holder_sp);
    if (f.wait.bucket != nullptr) {
      for (const instruments::label& l : s.labels.of(f.wait.bucket->labels)) {
        if (l.key == "lock") w.lock = l.value;
      }
    }
    part taken{frames_.size(), 0};
    if (w.holder != no_thread) {
      frames_.push_back(f.holder_pc);
      const dumped_thread& t = threads_[w.holder];
      for (std::size_t i = 0; i < t.frame_sps.size(); ++i) {
        if (t.frame_sps[i] > f.holder_sp) frames_.push_back(frames_[t.first_frame + i]);
      }
      taken.depth = frames_.size() - taken.first;
      w.taken.leaf_is_ip = true;
    }
    waits_.push_back(w);
    taken_.push_back(taken);
    seen_.push_back(f);
  }

  // The thread that owns an address on its stack: at or above its stack pointer or, if the function
  // has returned since, not far below it.
  std::size_t owner_of(std::uintptr_t address) const noexcept {
    std::size_t below = no_thread;  // the one with the nearest stack pointer
    std::size_t above = no_thread;
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      const std::uintptr_t sp = threads_[i].sp;
      if (sp == 0) continue;
      std::size_t& nearest = sp <= address ? below : above;
      if (nearest == no_thread || (sp <= address) == (sp > threads_[nearest].sp)) nearest = i;
    }
    if (below != no_thread && address <= end_of(threads_[below])) return below;
    return above != no_thread && threads_[above].sp - address < returned ? above : no_thread;
  }

  // The approximate end of its stack.
  static std::uintptr_t end_of(const dumped_thread& t) noexcept {
    const bool whole = !t.frame_sps.empty() && !t.it.stack.truncated;
    return whole ? t.frame_sps.back() + sys::page_bytes : t.sp + longest_stack;
  }

  std::size_t wait_of(std::size_t thread) const noexcept {
    for (std::size_t i = 0; i < waits_.size(); ++i) {
      if (waits_[i].waiter == thread) return i;
    }
    return no_thread;
  }

  // The wait of the lock's holder, unless the holder runs or the waiter gives up after a while.
  std::size_t next(std::size_t w) const noexcept {
    const snapshots::lock_wait& wait = waits_[w];
    return wait.holder == no_thread || wait.may_give_up ? no_thread : wait_of(wait.holder);
  }

  sys::vector<sys::vector<std::size_t>> circles() const {
    sys::vector<sys::vector<std::size_t>> found;
    sys::vector<std::size_t> met(waits_.size(), no_thread);  // the walk that met each wait
    for (std::size_t start = 0; start < waits_.size(); ++start) {
      std::size_t w = start;
      while (w != no_thread && met[w] == no_thread) {
        met[w] = start;
        w = next(w);
      }
      if (w == no_thread || met[w] != start) continue;
      sys::vector<std::size_t> circle;
      for (std::size_t i = w; circle.empty() || i != w; i = next(i)) {
        circle.push_back(i);
      }
      found.push_back(std::move(circle));
    }
    return found;
  }

  // True if the thread that took the lock last still has it, for all that can be seen: nothing has
  // changed since the waiter's stack was read, and that thread's own stack is not in a wait for it.
  bool is_held(std::size_t w) const noexcept {
    const snapshots::lock_wait& wait = waits_[w];
    if (wait.holder == no_thread || !stays(w)) return false;
    if (wait.holder == wait.waiter) return true;
    if (threads_[wait.holder].awaited == seen_[w].wait.lock) return false;
    const std::size_t its = wait_of(wait.holder);
    return its == no_thread || seen_[its].wait.lock != seen_[w].wait.lock;
  }

  bool stays(std::size_t w) const noexcept {
    const seen_wait& f = seen_[w];
    seen_wait now = f;
    const dumped_thread& t = threads_[waits_[w].waiter];
    return now.read_holder() && now.holder_sp == f.holder_sp && now.holder_pc == f.holder_pc &&
           t.cpu_ns >= 0 && sys::thread_cpu_ns(t.it.tid) == t.cpu_ns;
  }

  const threads& threads_;
  std::vector<std::uintptr_t>& frames_;
  sys::vector<snapshots::lock_wait> waits_;
  sys::vector<part> taken_;
  sys::vector<seen_wait> seen_;
};
using lock_waits = basic_lock_waits<>;

}  // namespace whence::inline v1::dumps

#endif  // WHENCE_DUMPS_LOCK_WAITS_HPP
