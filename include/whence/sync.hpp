// SPDX-License-Identifier: Apache-2.0
//
// What else threads wait for: semaphores, latches, barriers, futures, and by blocking_scope
// anything. Each wait shows in the profile `block`, at the call that waited; one that goes on when
// the profile is read is counted as far as it has gone.
//
//   whence::tracked_counting_semaphore<8> slots(8, "slots");     // with the label wait=slots
//   whence::tracked_latch started(4);
//   whence::tracked_barrier round(4);
//   whence::tracked_future answer = std::async(ask);             // answer.get() may wait
//   { whence::blocking_scope reply("redis");  read(socket, ...); }
//
// They offer what std's do. What is to be had at once is no wait and costs what it costs with std;
// a wait costs two clock readings and a stack. With null_registry they are std's.
// Thread-safe as those are; not for signal handlers.
#ifndef WHENCE_SYNC_HPP
#define WHENCE_SYNC_HPP

#include <whence/config.hpp>

#include <barrier>
#include <cstddef>
#include <future>
#include <latch>
#include <semaphore>
#include <type_traits>
#include <utility>

#include <whence/instruments/this_line.hpp>
#include <whence/instruments/wait.hpp>
#include <whence/instruments/wait_name.hpp>
#include <whence/names.hpp>
#include <whence/registry.hpp>
#include <whence/sys/keep_frame.hpp>

namespace whence::inline v1 {

// ---- semaphores
// ------------------------------------------------------------------------------------

template <std::ptrdiff_t Max, profile_registry R>
class tracked_counting_semaphore {
 public:
  constexpr explicit tracked_counting_semaphore(std::ptrdiff_t desired, const char* name = nullptr)
      : s_(desired), name_(name) {}

  static constexpr std::ptrdiff_t max() noexcept { return std::counting_semaphore<Max>::max(); }

  void release(std::ptrdiff_t update = 1) { s_.release(update); }

  void acquire() {
    if (s_.try_acquire()) [[likely]]
      return;
    instruments::waited(R::block(), name_.labels(), [this] {
      s_.acquire();
      return true;
    });
    sys::keep_frame();
  }
  [[nodiscard]] bool try_acquire() noexcept { return s_.try_acquire(); }

  template <class Duration>
  [[nodiscard]] bool try_acquire_for(const Duration& d) {
    if (s_.try_acquire()) [[likely]]
      return true;
    if (instruments::is_over(d)) return false;
    const bool got =
        instruments::waited(R::block(), name_.labels(), [&] { return s_.try_acquire_for(d); });
    sys::keep_frame();
    return got;
  }
  template <class Time>
  [[nodiscard]] bool try_acquire_until(const Time& t) {
    if (s_.try_acquire()) [[likely]]
      return true;
    if (instruments::is_over(t)) return false;
    const bool got =
        instruments::waited(R::block(), name_.labels(), [&] { return s_.try_acquire_until(t); });
    sys::keep_frame();
    return got;
  }

 private:
  std::counting_semaphore<Max> s_;
  instruments::wait_name<"wait"> name_;
};

template <std::ptrdiff_t Max, profile_registry R>
requires(!R::enabled) class tracked_counting_semaphore<Max, R>
    : public std::counting_semaphore<Max> {
 public:
  constexpr explicit tracked_counting_semaphore(std::ptrdiff_t desired, const char* = nullptr)
      : std::counting_semaphore<Max>(desired) {}
};

// ---- latches and barriers
// --------------------------------------------------------------------------

template <profile_registry R>
class basic_tracked_latch {
 public:
  constexpr explicit basic_tracked_latch(std::ptrdiff_t expected, const char* name = nullptr)
      : l_(expected), name_(name) {}

  static constexpr std::ptrdiff_t max() noexcept { return std::latch::max(); }

  void count_down(std::ptrdiff_t update = 1) { l_.count_down(update); }
  [[nodiscard]] bool try_wait() const noexcept { return l_.try_wait(); }
  void wait() const {
    if (l_.try_wait()) return;
    instruments::waited(R::block(), name_.labels(), [this] {
      l_.wait();
      return true;
    });
    sys::keep_frame();
  }
  void arrive_and_wait(std::ptrdiff_t update = 1) {
    l_.count_down(update);
    wait();
  }

 private:
  std::latch l_;
  instruments::wait_name<"wait"> name_;
};

template <profile_registry R>
requires(!R::enabled) class basic_tracked_latch<R> : public std::latch {
 public:
  constexpr explicit basic_tracked_latch(std::ptrdiff_t expected, const char* = nullptr)
      : std::latch(expected) {}
};

namespace instruments {
struct no_completion {
  void operator()() const noexcept {}
};
}  // namespace instruments

// std::barrier cannot be asked whether a phase is over, so the last to arrive counts as a wait too,
// of no length to speak of.
template <class Completion, profile_registry R>
class tracked_barrier {
  using barrier = std::barrier<Completion>;

 public:
  using arrival_token = typename barrier::arrival_token;

  constexpr explicit tracked_barrier(std::ptrdiff_t expected, Completion completion = Completion(),
                                     const char* name = nullptr)
      : b_(expected, std::move(completion)), name_(name) {}
  tracked_barrier(std::ptrdiff_t expected,
                  const char* name) requires std::is_default_constructible_v<Completion>
      : tracked_barrier(expected, Completion(), name) {}

  static constexpr std::ptrdiff_t max() noexcept { return barrier::max(); }

  [[nodiscard]] arrival_token arrive(std::ptrdiff_t update = 1) { return b_.arrive(update); }
  void wait(arrival_token&& arrival) const {
    instruments::waited(R::block(), name_.labels(), [&] {
      b_.wait(std::move(arrival));
      return true;
    });
    sys::keep_frame();
  }
  void arrive_and_wait() { wait(arrive()); }
  void arrive_and_drop() { b_.arrive_and_drop(); }

 private:
  barrier b_;
  instruments::wait_name<"wait"> name_;
};

template <class Completion, profile_registry R>
requires(!R::enabled) class tracked_barrier<Completion, R> : public std::barrier<Completion> {
 public:
  constexpr explicit tracked_barrier(std::ptrdiff_t expected, Completion completion = Completion(),
                                     const char* = nullptr)
      : std::barrier<Completion>(expected, std::move(completion)) {}
  tracked_barrier(std::ptrdiff_t expected,
                  const char*) requires std::is_default_constructible_v<Completion>
      : std::barrier<Completion>(expected, Completion()) {}
};

// ---- futures
// ---------------------------------------------------------------------------------------

namespace instruments {

// Future: std::future<T> or std::shared_future<T>.
template <class Future, profile_registry R>
class future_watch {
 public:
  future_watch() noexcept = default;
  // Implicit, so that it stands where the std one stood.
  future_watch(Future future) noexcept : future_(std::move(future)) {}

  [[nodiscard]] bool valid() const noexcept { return future_.valid(); }

  decltype(auto) get() {
    if (valid()) wait();
    return future_.get();
  }
  decltype(auto) get() const requires requires(const Future& f) { f.get(); }
  {
    if (valid()) wait();
    return future_.get();
  }

  // A deferred function runs in here, which is no wait.
  void wait() const {
    if (future_.wait_for(std::chrono::seconds(0)) != std::future_status::timeout) {
      return future_.wait();
    }
    waited(R::block(), {}, [this] {
      future_.wait();
      return true;
    });
    sys::keep_frame();
  }
  template <class Duration>
  std::future_status wait_for(const Duration& d) const {
    const std::future_status now = future_.wait_for(std::chrono::seconds(0));
    if (now != std::future_status::timeout || is_over(d)) return now;
    const std::future_status later = waited(R::block(), {}, [&] { return future_.wait_for(d); });
    sys::keep_frame();
    return later;
  }
  template <class Time>
  std::future_status wait_until(const Time& t) const {
    const std::future_status now = future_.wait_for(std::chrono::seconds(0));
    if (now != std::future_status::timeout || is_over(t)) return now;
    const std::future_status later = waited(R::block(), {}, [&] { return future_.wait_until(t); });
    sys::keep_frame();
    return later;
  }

 protected:
  Future future_;
};

}  // namespace instruments

template <class T, profile_registry R>
class tracked_shared_future
    : public std::conditional_t<R::enabled, instruments::future_watch<std::shared_future<T>, R>,
                                std::shared_future<T>> {
  using base = std::conditional_t<R::enabled, instruments::future_watch<std::shared_future<T>, R>,
                                  std::shared_future<T>>;

 public:
  tracked_shared_future() noexcept = default;
  tracked_shared_future(std::shared_future<T> future) noexcept : base(std::move(future)) {}
  tracked_shared_future(std::future<T>&& future) noexcept
      : base(std::shared_future<T>(std::move(future))) {}
};

template <class T, profile_registry R>
class tracked_future
    : public std::conditional_t<R::enabled, instruments::future_watch<std::future<T>, R>,
                                std::future<T>> {
  using base =
      std::conditional_t<R::enabled, instruments::future_watch<std::future<T>, R>, std::future<T>>;

 public:
  tracked_future() noexcept = default;
  tracked_future(std::future<T> future) noexcept : base(std::move(future)) {}

  tracked_shared_future<T, R> share() noexcept {
    if constexpr (R::enabled) {
      return this->future_.share();
    } else {
      return base::share();
    }
  }
};

// ---- anything else
// ---------------------------------------------------------------------------------

// While it lives, its thread waits: what runs inside is one wait in `block`, and waits of the
// thread within it are not recorded again. Hence it must not be open while a coroutine is
// suspended, when its thread does something else.
template <profile_registry R>
class [[nodiscard]] basic_blocking_scope {
 public:
  [[nodiscard]] basic_blocking_scope() noexcept : wait_(begin(nullptr)) {}
  [[nodiscard]] explicit basic_blocking_scope(const char* name) noexcept : wait_(begin(name)) {}
  ~basic_blocking_scope() { wait_.end(); }
  basic_blocking_scope(const basic_blocking_scope&) = delete;
  basic_blocking_scope& operator=(const basic_blocking_scope&) = delete;

 private:
  [[gnu::noinline]] static instruments::wait begin(const char* name) noexcept {
    return {R::block(), instruments::wait_name<"wait">(name).labels(), __builtin_return_address(0)};
  }

  instruments::wait wait_;
};

template <profile_registry R>
requires(!R::enabled) class [[maybe_unused, nodiscard]] basic_blocking_scope<R> {
 public:
  [[nodiscard]] constexpr basic_blocking_scope() noexcept {
  }  // NOLINT(modernize-use-equals-default)
  [[nodiscard]] constexpr explicit basic_blocking_scope(const char*) noexcept {}
  basic_blocking_scope(const basic_blocking_scope&) = delete;
  basic_blocking_scope& operator=(const basic_blocking_scope&) = delete;
};

}  // namespace whence::inline v1

#endif  // WHENCE_SYNC_HPP
