// SPDX-License-Identifier: Apache-2.0
//
// Tracked threads: they show the stack that made them, their name, and the labels they work for.
//
//   whence::tracked_jthread worker(whence::thread_name{"worker 3"}, [] { serve(); });
//
//   $ go tool pprof -top threadcreate.pb.gz         the living threads by the stack that made them
//   goroutine?debug=2                               ... [poll, 3 minutes, thread "worker 3"] ...
//                                                   created by shop::start
//
// tracked_thread and tracked_jthread are std::thread and std::jthread that know this, and inherit
// the labels in force at the call that makes them. join() is a wait in `block`.
// <whence/pthread.hpp> tracks the threads that other code makes. A start costs 1 us more, a running
// thread nothing. Thread-safe as those are; not for signal handlers.
#ifndef WHENCE_THREAD_HPP
#define WHENCE_THREAD_HPP

#include <whence/config.hpp>

#include <concepts>
#include <stop_token>
#include <string_view>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

#include <whence/instruments/birth.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/instruments/wait.hpp>
#include <whence/names.hpp>
#include <whence/registry.hpp>
#include <whence/sys/block_tail_call.hpp>

namespace whence::inline v1 {

// Names the calling thread: in `goroutine`, as the label `thread` of its samples (over the labels
// in force, so call it at the begin of the thread), and to the system by its first 15 bytes.
// Thread-safe.
template <bool Enabled = !config::disabled>
void set_thread_name(std::string_view name) noexcept {
  if constexpr (Enabled) {
    instruments::system_name(name).give_to_this_thread();
    const instruments::recorder* const r = instruments::recorder_here();
    if (r != nullptr) r->name_thread(name.data(), name.size());
  }
}

// The name of a tracked thread, given as its first argument.
struct thread_name {
  std::string_view text;
};

namespace instruments {

template <bool Joins>
using std_thread = std::conditional_t<Joins, std::jthread, std::thread>;

// The function of a new thread. It is constrained, because std::jthread asks whether it takes a
// stop_token.
template <class F>
struct adopted {
  birth b;
  F f;

  template <class... Arguments>
  requires std::invocable<F, Arguments...>
  void operator()(Arguments&&... arguments) && {
    b.adopt();
    // This is std::invoke, without the ten thousand lines of <functional>.
    std::apply(std::move(f), std::forward_as_tuple(std::forward<Arguments>(arguments)...));
  }
};

// Cancels a birth unless its thread has started.
class start_guard {
 public:
  explicit start_guard(birth& b) noexcept : birth_(&b) {}
  ~start_guard() {
    if (birth_ != nullptr) birth_->cancel();
  }
  void started() noexcept { birth_ = nullptr; }
  start_guard(const start_guard&) = delete;
  start_guard& operator=(const start_guard&) = delete;

 private:
  birth* birth_;
  unrecorded_start start_;
};

template <class Thread, class F, class... Arguments>
Thread start_thread(birth b, F&& f, Arguments&&... arguments) {
  start_guard guard(b);
  Thread t(adopted<std::decay_t<F>>{b, std::forward<F>(f)}, std::forward<Arguments>(arguments)...);
  guard.started();
  return t;
}

}  // namespace instruments

template <bool Joins, profile_registry R>
class basic_tracked_thread {
  using thread = instruments::std_thread<Joins>;

 public:
  using id = typename thread::id;
  using native_handle_type = typename thread::native_handle_type;

  basic_tracked_thread() noexcept = default;
  // Throws: as the standard thread does.
  template <class F, class... Arguments>
  requires(!std::same_as<std::remove_cvref_t<F>, basic_tracked_thread> &&
           !std::same_as<std::remove_cvref_t<F>, thread_name>)
      [[gnu::noinline]] explicit basic_tracked_thread(F&& f, Arguments&&... arguments)
      : thread_(instruments::start_thread<thread>(
            instruments::birth(R::threadcreate(), {}, __builtin_return_address(0)),
            std::forward<F>(f), std::forward<Arguments>(arguments)...)) {}
  template <class F, class... Arguments>
  [[gnu::noinline]] basic_tracked_thread(thread_name name, F&& f, Arguments&&... arguments)
      : thread_(instruments::start_thread<thread>(
            instruments::birth(R::threadcreate(), name.text, __builtin_return_address(0)),
            std::forward<F>(f), std::forward<Arguments>(arguments)...)) {}

  void swap(basic_tracked_thread& other) noexcept { thread_.swap(other.thread_); }
  friend void swap(basic_tracked_thread& a, basic_tracked_thread& b) noexcept { a.swap(b); }

  [[nodiscard]] bool joinable() const noexcept { return thread_.joinable(); }
  // Throws: as the standard thread does.
  void join() {
    instruments::waited(R::block(), 0, [this] {
      thread_.join();
      return true;
    });
    sys::block_tail_call();
  }
  void detach() { thread_.detach(); }
  [[nodiscard]] id get_id() const noexcept { return thread_.get_id(); }
  [[nodiscard]] native_handle_type native_handle() { return thread_.native_handle(); }
  [[nodiscard]] static unsigned hardware_concurrency() noexcept {
    return thread::hardware_concurrency();
  }

  [[nodiscard]] auto get_stop_source() noexcept requires requires(thread& t) {
    t.get_stop_source();
  }
  { return thread_.get_stop_source(); }
  [[nodiscard]] auto get_stop_token() const noexcept requires requires(const thread& t) {
    t.get_stop_token();
  }
  { return thread_.get_stop_token(); }
  bool request_stop() noexcept requires requires(thread& t) { t.request_stop(); }
  { return thread_.request_stop(); }

 private:
  thread thread_;
};

// If nothing is recorded: the standard thread, and a name that is not used.
template <bool Joins, profile_registry R>
requires(!R::enabled) class basic_tracked_thread<Joins, R> : public instruments::std_thread<Joins> {
  using thread = instruments::std_thread<Joins>;

 public:
  using thread::thread;
  template <class F, class... Arguments>
  basic_tracked_thread(thread_name, F&& f, Arguments&&... arguments)
      : thread(std::forward<F>(f), std::forward<Arguments>(arguments)...) {}
};

}  // namespace whence::inline v1

#endif  // WHENCE_THREAD_HPP
