// SPDX-License-Identifier: Apache-2.0
//
// tracked_condition_variable: std::condition_variable_any whose waits show in the profile `block`,
// at the wait call, each from the release of the lock to the notification.
//
//   whence::tracked_condition_variable ready{"ready"};    // with the label wait=ready
//   std::unique_lock hold(m);                             // of a tracked_mutex, or any other lock
//   ready.wait(hold, [&] { return !queue.empty(); });
//
// Taking the lock back is not part of the wait: if that blocks, it is an event of the lock. A wait
// that goes on when the profile is read is counted as far as it has gone. The thread that notifies
// is charged nothing. Cost: as std::condition_variable_any, and two clock readings and a stack for
// a wait. With null_registry it is std::condition_variable_any. Thread-safe as
// std::condition_variable_any is; not for signal handlers.
#ifndef WHENCE_CONDITION_VARIABLE_HPP
#define WHENCE_CONDITION_VARIABLE_HPP

#include <whence/config.hpp>

#include <condition_variable>
#include <stop_token>
#include <string_view>
#include <utility>

#include <whence/instruments/this_line.hpp>
#include <whence/instruments/timed_wait_lock.hpp>
#include <whence/instruments/unrecorded.hpp>
#include <whence/instruments/wait_name.hpp>
#include <whence/names.hpp>
#include <whence/registry.hpp>
#include <whence/sys/block_tail_call.hpp>

namespace whence::inline v1 {

template <profile_registry R>
class basic_tracked_condition_variable {
 public:
  basic_tracked_condition_variable() = default;
  explicit basic_tracked_condition_variable(std::string_view name) : name_(name) {}
  basic_tracked_condition_variable(const basic_tracked_condition_variable&) = delete;
  basic_tracked_condition_variable& operator=(const basic_tracked_condition_variable&) = delete;

  void notify_one() noexcept { c_.notify_one(); }
  void notify_all() noexcept { c_.notify_all(); }

  template <class Lock>
  void wait(Lock& lock) {
    slept(lock, [this](auto& l) {
      c_.wait(l);
      return true;
    });
    sys::block_tail_call();
  }
  template <class Lock, class Predicate>
  void wait(Lock& lock, Predicate done) {
    slept(lock, [&](auto& l) {
      c_.wait(l, std::move(done));
      return true;
    });
    sys::block_tail_call();
  }
  template <class Lock, class Predicate>
  bool wait(Lock& lock, std::stop_token stop, Predicate done) {
    const auto result =
        slept(lock, [&](auto& l) { return c_.wait(l, std::move(stop), std::move(done)); });
    sys::block_tail_call();
    return result;
  }

  template <class Lock, class Duration>
  std::cv_status wait_for(Lock& lock, const Duration& d) {
    const auto result = slept(lock, [&](auto& l) { return c_.wait_for(l, d); });
    sys::block_tail_call();
    return result;
  }
  template <class Lock, class Duration, class Predicate>
  bool wait_for(Lock& lock, const Duration& d, Predicate done) {
    const auto result = slept(lock, [&](auto& l) { return c_.wait_for(l, d, std::move(done)); });
    sys::block_tail_call();
    return result;
  }
  template <class Lock, class Duration, class Predicate>
  bool wait_for(Lock& lock, std::stop_token stop, const Duration& d, Predicate done) {
    const auto result =
        slept(lock, [&](auto& l) { return c_.wait_for(l, std::move(stop), d, std::move(done)); });
    sys::block_tail_call();
    return result;
  }

  template <class Lock, class Time>
  std::cv_status wait_until(Lock& lock, const Time& t) {
    const auto result = slept(lock, [&](auto& l) { return c_.wait_until(l, t); });
    sys::block_tail_call();
    return result;
  }
  template <class Lock, class Time, class Predicate>
  bool wait_until(Lock& lock, const Time& t, Predicate done) {
    const auto result = slept(lock, [&](auto& l) { return c_.wait_until(l, t, std::move(done)); });
    sys::block_tail_call();
    return result;
  }
  template <class Lock, class Time, class Predicate>
  bool wait_until(Lock& lock, std::stop_token stop, const Time& t, Predicate done) {
    const auto result =
        slept(lock, [&](auto& l) { return c_.wait_until(l, std::move(stop), t, std::move(done)); });
    sys::block_tail_call();
    return result;
  }

 private:
  // `sleep` waits with the lock it is given. The stack of the wait begins at the caller of slept.
  template <class Lock, class Sleep>
  [[gnu::noinline]] auto slept(Lock& lock, Sleep sleep) {
    instruments::timed_wait_lock<Lock> l(lock, R::block(), name_.labels(),
                                         __builtin_return_address(0));
    return sleep(l);
  }

  std::condition_variable_any c_;
  instruments::wait_name<"wait"> name_;
};

template <profile_registry R>
requires(!R::enabled) class basic_tracked_condition_variable<R>
    : public instruments::unrecorded<std::condition_variable_any> {
 public:
  using instruments::unrecorded<std::condition_variable_any>::unrecorded;
};

}  // namespace whence::inline v1

#endif  // WHENCE_CONDITION_VARIABLE_HPP
