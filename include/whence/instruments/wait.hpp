// SPDX-License-Identifier: Apache-2.0
//
// One wait of the calling thread, from its begin to its end: an event of the profile `block`,
// charged to the stack at which it began. record/wait.hpp counts it.
//
// Never allocates from the heap, never throws. Cost: two clock readings and a stack.
#ifndef WHENCE_INSTRUMENTS_WAIT_HPP
#define WHENCE_INSTRUMENTS_WAIT_HPP

#include <cstddef>
#include <cstdint>

#include <whence/instruments/recorder.hpp>
#include <whence/names.hpp>

namespace whence::inline v1::instruments {

// Room on the waiter's stack for what the recorder keeps of a wait.
struct wait_room {
  static constexpr std::size_t bytes = 80;
  alignas(8) unsigned char place[bytes];
};

class wait {
 public:
  wait() noexcept = default;
  // Begins at once; see begin.
  wait(profile& block, std::uint32_t labels, const void* caller, lock_words* lock = nullptr,
       bool may_give_up = false) noexcept {
    begin(block, labels, caller, lock, may_give_up);
  }
  wait(const wait&) = delete;
  wait& operator=(const wait&) = delete;
  // A wait that ends in an exception leaves nothing behind.
  ~wait() {
    if (recorder_ != nullptr) recorder_->abandon_wait(room_);
  }

  // Begins at the stack that begins at the frame returning to `caller`, in the queue of `lock` if
  // that is what the thread waits for. Requires: no wait goes on; `caller` as for the recorder.
  void begin(profile& block, std::uint32_t labels, const void* caller, lock_words* lock = nullptr,
             bool may_give_up = false) noexcept {
    recorder_ = recorder_here();
    if (recorder_ != nullptr) {
      recorder_->begin_wait(room_, block, labels, caller, lock, may_give_up);
    }
  }

  // The thread goes on; `gained` tells whether it got what it waited for.
  void end(bool gained = true) noexcept {
    if (recorder_ != nullptr) recorder_->end_wait(room_, gained);
    recorder_ = nullptr;
  }

 private:
  const recorder* recorder_ = nullptr;  // nullptr: no wait goes on
  wait_room room_;
};

// True if a time-out, a duration or a point in time, leaves no time to wait: then an attempt that
// fails is not a wait.
template <class Time>
bool is_over(const Time& t) {
  if constexpr (requires { typename Time::clock; }) {
    return t <= Time::clock::now();
  } else {
    return t <= t.zero();
  }
}

// Runs `sleep`, which may take a while and returns a value, as one wait. The stack begins at the
// caller, which calls sys::block_tail_call after it.
template <class Sleep>
[[gnu::noinline, gnu::cold]] auto waited(profile& block, std::uint32_t labels, Sleep sleep) {
  wait w(block, labels, __builtin_return_address(0));
  const auto result = sleep();
  w.end();
  return result;
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_WAIT_HPP
