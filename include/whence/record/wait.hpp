// SPDX-License-Identifier: Apache-2.0
//
// One wait of the calling thread, from its begin to its end: an event of the profile `block`,
// charged to the stack at which it began.
//
//   length d, rate R (nanoseconds)      recorded with probability    as
//   d >= R                              1                            1 contention, delay d
//   d <  R                              d/R                          R/d contentions, delay R
//
// so the mean of what is recorded is 1 contention and delay d for every wait (Go: runtime/mprof.go,
// saveblockevent and blocksampled). While a wait goes on, it stands in a slot, from which a profile
// counts it once it has lasted for R.
//
// The stack is taken before the thread waits, not after. So it delays no other thread, because its
// own thread does not hold the lock yet, and a profile that is read meanwhile has it.
//
// Never allocates from the heap, never throws. Cost: two clock readings and a stack.
#ifndef WHENCE_RECORD_WAIT_HPP
#define WHENCE_RECORD_WAIT_HPP

#include <atomic>
#include <cstdint>
#include <new>

#include <whence/core/counters.hpp>
#include <whence/core/profile.hpp>
#include <whence/instruments/lock_words.hpp>
#include <whence/instruments/wait.hpp>
#include <whence/instruments/wait_queue.hpp>
#include <whence/record/event.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/clock.hpp>
#include <whence/sys/publish_once.hpp>
#include <whence/sys/random.hpp>
#include <whence/sys/thread_local.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/tables/label_sets.hpp>
#include <whence/tables/wait_slots.hpp>

namespace whence::inline v1::record {

// Counts a wait that is over, at the rate that was in force when it began.
inline void count_wait(tables::bucket& b, std::int64_t length_ns, std::int64_t rate_ns) noexcept {
  const std::int64_t d = length_ns > 0 ? length_ns : 1;
  if (d >= rate_ns) {
    b.add(core::contention_counter, 1);
    b.add(core::delay_counter, d);
    return;
  }
  const double share = static_cast<double>(d) / static_cast<double>(rate_ns);
  if (sys::uniform() > share) return;
  b.add(core::contention_counter, sys::round_randomly(1 / share));
  b.add(core::delay_counter, rate_ns);
}

// The counted wait that this thread began last, which may be over. While it goes on, waits within
// it are not counted again. It is identified by a number, because a coroutine may end it on another
// thread.
struct counted_wait {
  const tables::wait_slot* slot;
  std::uint32_t sequence;

  bool goes_on() const noexcept {
    return slot != nullptr && slot->sequence.load(std::memory_order_relaxed) == sequence;
  }
};
WHENCE_THREAD_LOCAL counted_wait last_counted_wait{};

// The slots of all waits; nullptr if there is no memory for them.
inline tables::wait_slots* slots_of(state::process_state& s) noexcept {
  return sys::publish_once(s.arena, s.waits, s.arena);
}

class wait {
 public:
  // Begins a wait at the stack that begins at the frame returning to `caller`, in the queue of
  // `lock` if it is for one. Requires: `caller` as unwind::capture.
  wait(profile& block, std::uint32_t labels, const void* caller,
       instruments::lock_words* lock = nullptr, bool may_give_up = false) noexcept {
    state::process_state& s = state::attached();
    tables::wait_in_progress w;
    w.rate_ns = s.block_rate.load(std::memory_order_relaxed);
    instruments::wait_queue* const queue = lock == nullptr ? nullptr : &lock->queue;
    const bool charges = queue != nullptr && s.mutex_fraction.load(std::memory_order_relaxed) > 0;
    const bool counts = w.rate_ns > 0 && !last_counted_wait.goes_on();
    if (!counts && !charges) return;
    w.since_ns = sys::monotonic_ns();
    if (counts) w.bucket = record_stack(s, block.rows(), {0, 0, labels}, caller);
    if (charges) w.queue = queue;
    w.lock = lock == nullptr ? nullptr : &lock->holder;
    w.may_give_up = may_give_up;
    w.sp = reinterpret_cast<std::uintptr_t>(this);
    // The order matters: a thread that is in the queue has a slot, by which a child of fork finds
    // the queue.
    tables::wait_slots* const slots = slots_of(s);
    if (slots != nullptr) slot_ = slots->take();
    if (slot_ != nullptr) {
      const std::uint32_t sequence = slot_->begin(w);
      if (counts) last_counted_wait = {slot_, sequence};
    }
    if (slot_ == nullptr || (charges && !queue->enter(w.since_ns))) w.queue = nullptr;
    wait_ = w;
    open_ = true;
  }
  wait(const wait&) = delete;
  wait& operator=(const wait&) = delete;
  // A wait that ends in an exception leaves nothing behind.
  ~wait() {
    if (!open_) return;
    leave_queue(sys::monotonic_ns(), true);
    if (slot_ != nullptr) slot_->end();
  }

  // The thread goes on; `gained` tells whether it got what it waited for.
  void end(bool gained = true) noexcept {
    if (!open_) return;
    // This comes before the clock is read: a reader that sees the wait go on has read an earlier
    // time.
    if (slot_ != nullptr) slot_->count();
    const std::int64_t now = sys::monotonic_ns();
    leave_queue(now, gained);
    if (wait_.bucket != nullptr) count_wait(*wait_.bucket, now - wait_.since_ns, wait_.rate_ns);
    if (slot_ != nullptr) slot_->end();
  }

 private:
  void leave_queue(std::int64_t now_ns, bool gained) noexcept {
    open_ = false;
    if (wait_.queue == nullptr) return;
    if (gained) {
      wait_.queue->gain(wait_.since_ns);
    } else {
      wait_.queue->give_up(now_ns);
    }
  }

  tables::wait_in_progress wait_;
  tables::wait_slot* slot_ = nullptr;
  bool open_ = false;
};

// A wait that goes on lies in the waiter's room.
static_assert(sizeof(wait) <= instruments::wait_room::bytes && alignof(wait) <= 8);

// These do the work of instruments::wait.
inline void begin_wait(instruments::wait_room& room, profile& block, std::uint32_t labels,
                       const void* caller, instruments::lock_words* lock,
                       bool may_give_up) noexcept {
  if (lock != nullptr) labels = lock->name.labels();
  ::new (room.place) wait(block, labels, caller, lock, may_give_up);
}
inline wait& wait_in(instruments::wait_room& room) noexcept {
  return *std::launder(reinterpret_cast<wait*>(room.place));
}
inline void end_wait(instruments::wait_room& room, bool gained) noexcept {
  wait& w = wait_in(room);
  w.end(gained);
  w.~wait();
}
inline void abandon_wait(instruments::wait_room& room) noexcept {
  wait_in(room).~wait();
}

// Does the work of instruments::wait_name. A name that is refused is not known as refused: a lock
// that keeps its text asks again at its next event.
inline std::uint32_t name_wait(const char* key, const char* name, std::size_t size) noexcept {
  state::process_state& s = state::attached();
  const instruments::label l{key, {name, size}};
  const std::uint32_t id = s.labels.intern({&l, 1}, tables::label_sets::most);
  return id == tables::label_sets::overflow ? tables::label_sets::none : id;
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_WAIT_HPP
