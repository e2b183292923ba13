// SPDX-License-Identifier: Apache-2.0
//
// Tracked coroutines: one that is suspended shows in `goroutine` as a thread does. No thread has it
// on its stack, so it shows with its logical stack: the line at which it is suspended, the
// coroutines that await it one by one, and the stack that made the first of them.
//
//   struct task::promise_type : whence::tracked_promise { ... };
//
//   // in task's awaiter: says which coroutine awaits this one
//   auto await_suspend(std::coroutine_handle<P> caller) {
//     own.promise().awaited_by(caller);
//     own.promise().continuation = caller;
//     return own;
//   }
//
//   co_await socket.read();                                  // a wait in `block`, while it lasts
//   co_await whence::tracked_await("redis", socket.read());  // with the label wait=redis
//
//   goroutine 4194305 [waiting, 1.2 seconds, coroutine] {handler: "/search"}:
//   shop::fetch(...)
//   	/src/shop.cpp:39 +0x1b
//   shop::answer(...)
//   	/src/shop.cpp:61 +0x96
//   created by shop::serve(...)
//   	/src/shop.cpp:80 +0x22
//
// The state is `waiting` if it waits for what it awaits, `not started`, or `idle`, as a generator
// that has yielded. The profile `coroutine` counts the living coroutines by the stack that made
// them.
//
// tracked_await needs no tracked promise, and then knows neither which coroutine awaits this one
// nor what made it. Labels belong to the thread: take them along with scoped_labels_only
// (labels.hpp).
//
// Thread-safe as coroutines are. Never throws, never allocates from the heap. Cost: 128 bytes and a
// stack for a coroutine, a stack and two clock readings for a wait; an awaitable that is ready
// costs nothing. With null_registry nothing is recorded, and nothing of this is paid.
#ifndef WHENCE_COROUTINE_HPP
#define WHENCE_COROUTINE_HPP

#include <whence/config.hpp>

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include <whence/instruments/recorder.hpp>
#include <whence/instruments/suspension.hpp>
#include <whence/instruments/wait_name.hpp>
#include <whence/names.hpp>
#include <whence/registry.hpp>
#include <whence/sys/block_tail_call.hpp>
#include <whence/tracked.hpp>

namespace whence::inline v1 {

namespace instruments {

// What a promise knows of its coroutine.
class promise_life {
 public:
  const coroutine_life& life() const noexcept { return life_; }

 protected:
  coroutine_life life_;
};

// An awaitable that is a tracked coroutine itself: to wait for it is not a wait of its own.
template <class A>
concept tracked_task =
    std::derived_from<typename std::remove_cvref_t<A>::promise_type, promise_life>;

// Returns the awaiter that co_await makes of an awaitable. (C++20, [expr.await] 3.2)
template <class A>
decltype(auto) awaiter_of(A&& a) {
  if constexpr (requires { std::forward<A>(a).operator co_await(); }) {
    return std::forward<A>(a).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<A>(a)); }) {
    return operator co_await(std::forward<A>(a));
  } else {
    return std::forward<A>(a);
  }
}

}  // namespace instruments

// Awaits an A, which is an object or a reference, and records that the coroutine is suspended until
// then.
template <class A, profile_registry R>
class basic_tracked_awaitable {
 public:
  // `how`: instruments::suspended::waiting is recorded as a wait in R::block().
  template <class B>
  basic_tracked_awaitable(B&& awaitable, instruments::suspended how, std::uint32_t labels = 0)
      : awaitable_(std::forward<B>(awaitable)),
        awaiter_(instruments::awaiter_of(static_cast<A&&>(awaitable_))),
        labels_(labels),
        how_(how) {}
  basic_tracked_awaitable(const basic_tracked_awaitable&) = delete;
  basic_tracked_awaitable& operator=(const basic_tracked_awaitable&) = delete;

  bool await_ready() { return static_cast<bool>(awaiter_.await_ready()); }

  // Not inlined, because its return address is the line at which the coroutine is suspended. It
  // never returns void, because a call in tail position would return elsewhere.
  template <class Promise>
  [[gnu::noinline]] auto await_suspend(std::coroutine_handle<Promise> coroutine) {
    begin(coroutine, reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
    unless_left left{&suspension_};
    using result = decltype(awaiter_.await_suspend(coroutine));
    // This object may be destroyed as soon as the coroutine can be resumed.
    if constexpr (std::is_void_v<result>) {
      awaiter_.await_suspend(coroutine);
      left.suspension = nullptr;
      return true;
    } else if constexpr (std::same_as<result, bool>) {
      const bool is_suspended = awaiter_.await_suspend(coroutine);
      if (is_suspended) left.suspension = nullptr;
      return is_suspended;
    } else {
      auto next = awaiter_.await_suspend(coroutine);
      left.suspension = nullptr;
      return next;
    }
  }

  decltype(auto) await_resume() {
    suspension_.end();
    return awaiter_.await_resume();
  }

 private:
  struct unless_left {
    instruments::suspension* suspension;
    ~unless_left() {
      if (suspension != nullptr) suspension->cancel();
    }
  };

  template <class Promise>
  void begin(std::coroutine_handle<Promise> coroutine, std::uintptr_t pc) noexcept {
    const instruments::coroutine_life* life = &life_;
    if constexpr (std::derived_from<Promise, instruments::promise_life>) {
      life = &coroutine.promise().life();
    } else {
      life_.begin(nullptr, nullptr);
    }
    if (life->record() == nullptr) return;
    const bool waits = how_ == instruments::suspended::waiting && !instruments::tracked_task<A>;
    suspension_.begin(*life, pc, how_, waits ? &R::block() : nullptr, labels_);
  }

  A awaitable_;
  decltype(instruments::awaiter_of(std::declval<A>())) awaiter_;
  instruments::coroutine_life life_;  // if the promise has none
  instruments::suspension suspension_;
  std::uint32_t labels_;
  instruments::suspended how_;
};

// The variant that records nothing. It is not the awaitable itself, because g++ 12 awaits a copy of
// what a function returns by reference.
template <class A, profile_registry R>
requires(!R::enabled) class basic_tracked_awaitable<A, R> {
 public:
  template <class B>
  explicit basic_tracked_awaitable(B&& awaitable, instruments::suspended = {}, std::uint32_t = 0)
      : awaitable_(std::forward<B>(awaitable)),
        awaiter_(instruments::awaiter_of(static_cast<A&&>(awaitable_))) {}
  basic_tracked_awaitable(const basic_tracked_awaitable&) = delete;
  basic_tracked_awaitable& operator=(const basic_tracked_awaitable&) = delete;

  bool await_ready() { return static_cast<bool>(awaiter_.await_ready()); }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> coroutine) {
    return awaiter_.await_suspend(coroutine);
  }
  decltype(auto) await_resume() { return awaiter_.await_resume(); }

 private:
  A awaitable_;
  decltype(instruments::awaiter_of(std::declval<A>())) awaiter_;
};

// What tracked_await returns: an A, an object or a reference, and the labels of its wait.
template <class A, profile_registry R>
struct [[nodiscard]] named_awaitable {
  A awaitable;
  std::uint32_t labels;

  basic_tracked_awaitable<A&&, R> operator co_await() && {
    return basic_tracked_awaitable<A&&, R>(std::forward<A>(awaitable),
                                           instruments::suspended::waiting, labels);
  }
};

// The awaitable, as a wait with the label wait=`name` if it has a name, whose text is copied. An
// object is moved in, and awaited there.
template <profile_registry R = default_registry, class A>
[[nodiscard]] named_awaitable<A, R> tracked_await(A&& awaitable) {
  return {std::forward<A>(awaitable), 0};
}
template <profile_registry R = default_registry, class A>
[[nodiscard]] named_awaitable<A, R> tracked_await(std::string_view name, A&& awaitable) {
  std::uint32_t labels = 0;
  if constexpr (R::enabled) labels = instruments::wait_name<"wait">(name).labels();
  return {std::forward<A>(awaitable), labels};
}

// A base of promise_type. A promise that has an await_transform of its own returns awaited(x) from
// it, x being what it makes of the awaitable.
template <profile_registry R>
class basic_tracked_promise : public instruments::promise_life {
 public:
  // Not inlined, because it must return into the coroutine's function.
  [[gnu::noinline]] basic_tracked_promise() noexcept {
    life_.begin(&basic_custom_profile<"coroutine", true>::get(), __builtin_return_address(0));
    sys::block_tail_call();
  }

  template <class A>
  static basic_tracked_awaitable<A, R> awaited(A&& awaitable) {
    return {std::forward<A>(awaitable), instruments::suspended::waiting};
  }
  template <class A>
  basic_tracked_awaitable<A&&, R> await_transform(A&& awaitable) {
    return {std::forward<A>(awaitable), instruments::suspended::waiting};
  }
  template <class A, profile_registry S>
  basic_tracked_awaitable<A&&, S> await_transform(named_awaitable<A, S>&& named) {
    return std::move(named).operator co_await();
  }

  // For initial_suspend and yield_value: a suspension that waits for nothing.
  //   auto initial_suspend() noexcept { return at_start(std::suspend_always{}); }
  //   auto yield_value(int v) noexcept { value = v; return idle(std::suspend_always{}); }
  template <class A>
  static basic_tracked_awaitable<A, R> at_start(A awaitable) noexcept {
    return {std::move(awaitable), instruments::suspended::at_start};
  }
  template <class A>
  static basic_tracked_awaitable<A, R> idle(A awaitable) noexcept {
    return {std::move(awaitable), instruments::suspended::idly};
  }

  // The coroutine of `caller` awaits this one from now on. Any handle will do; without a tracked
  // promise the awaiting coroutine is not known.
  template <class Promise>
  void awaited_by(std::coroutine_handle<Promise> caller) noexcept {
    if constexpr (std::derived_from<Promise, instruments::promise_life>) {
      const instruments::coroutine_life& awaiter = caller.promise().life();
      if (life_.record() != nullptr && awaiter.record() != nullptr) life_.awaited_by(awaiter);
    }
  }
};

template <profile_registry R>
requires(!R::enabled) class basic_tracked_promise<R> {
 public:
  template <class A>
  static basic_tracked_awaitable<A, R> awaited(A&& awaitable) {
    return basic_tracked_awaitable<A, R>(std::forward<A>(awaitable));
  }
  template <class A>
  static A at_start(A awaitable) noexcept {
    return awaitable;
  }
  template <class A>
  static A idle(A awaitable) noexcept {
    return awaitable;
  }
  template <class Promise>
  void awaited_by(std::coroutine_handle<Promise>) noexcept {}
};

}  // namespace whence::inline v1

#endif  // WHENCE_COROUTINE_HPP
