// SPDX-License-Identifier: Apache-2.0
//
// Other things that threads wait for: semaphores, latches, barriers and futures, and with
// blocking_scope any call. Each wait shows in the profile `block`, at the call that waited; a wait
// that goes on when the profile is read is counted as far as it has gone.
//
//   whence::tracked_counting_semaphore<8> slots{"slots", 8};     // with the label wait=slots
//   whence::tracked_latch started{"start", 4};
//   whence::tracked_barrier<> round{"round " + std::to_string(n), 4};
//   whence::tracked_future<int> answer{"answer", std::async(ask)};   // answer.get() may wait
//   { whence::blocking_scope reply{"redis"};  read(socket, ...); }
//
// The name comes first and may be left out; its text is copied. The classes offer what std's offer.
// An alias template's arguments are deduced by g++, and not by clang++ 14; those of the class
// template are deduced by both:
//   whence::basic_tracked_barrier round{"round", 4, complete};
//
// A call that need not wait costs what it costs with std and is no event; a wait costs two clock
// readings and a stack. With null_registry the classes are std's. Thread-safe as those are; not for
// signal handlers.
#ifndef WHENCE_SYNC_HPP
#define WHENCE_SYNC_HPP

#include <whence/config.hpp>

#include <barrier>
#include <cstddef>
#include <cstdint>
#include <future>
#include <latch>
#include <semaphore>
#include <string_view>
#include <type_traits>
#include <utility>

#include <whence/instruments/this_line.hpp>
#include <whence/instruments/unrecorded.hpp>
#include <whence/instruments/wait.hpp>
#include <whence/instruments/wait_name.hpp>
#include <whence/names.hpp>
#include <whence/registry.hpp>
#include <whence/sys/block_tail_call.hpp>

namespace whence::inline v1 {

// ---- semaphores

template <std::ptrdiff_t Max, profile_registry R>
class basic_tracked_counting_semaphore {
 public:
  constexpr explicit basic_tracked_counting_semaphore(std::ptrdiff_t desired) : s_(desired) {}
  constexpr basic_tracked_counting_semaphore(std::string_view name, std::ptrdiff_t desired)
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
    sys::block_tail_call();
  }
  [[nodiscard]] bool try_acquire() noexcept { return s_.try_acquire(); }

  template <class Duration>
  [[nodiscard]] bool try_acquire_for(const Duration& d) {
    if (s_.try_acquire()) [[likely]]
      return true;
    if (instruments::is_over(d)) return false;
    const bool got =
        instruments::waited(R::block(), name_.labels(), [&] { return s_.try_acquire_for(d); });
    sys::block_tail_call();
    return got;
  }
  template <class Time>
  [[nodiscard]] bool try_acquire_until(const Time& t) {
    if (s_.try_acquire()) [[likely]]
      return true;
    if (instruments::is_over(t)) return false;
    const bool got =
        instruments::waited(R::block(), name_.labels(), [&] { return s_.try_acquire_until(t); });
    sys::block_tail_call();
    return got;
  }

 private:
  std::counting_semaphore<Max> s_;
  instruments::wait_name<"wait"> name_;
};

template <std::ptrdiff_t Max, profile_registry R>
requires(!R::enabled) class basic_tracked_counting_semaphore<Max, R>
    : public instruments::unrecorded<std::counting_semaphore<Max>> {
 public:
  using instruments::unrecorded<std::counting_semaphore<Max>>::unrecorded;
};

// ---- latches and barriers

template <profile_registry R>
class basic_tracked_latch {
 public:
  constexpr explicit basic_tracked_latch(std::ptrdiff_t expected) : l_(expected) {}
  constexpr basic_tracked_latch(std::string_view name, std::ptrdiff_t expected)
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
    sys::block_tail_call();
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
requires(!R::enabled) class basic_tracked_latch<R> : public instruments::unrecorded<std::latch> {
 public:
  using instruments::unrecorded<std::latch>::unrecorded;
};

namespace instruments {
struct no_completion {
  void operator()() const noexcept {}
};
}  // namespace instruments

// std::barrier cannot be asked whether a phase is over, so the last thread to arrive counts as a
// wait too, of negligible length.
template <class Completion, profile_registry R>
class basic_tracked_barrier {
  using barrier = std::barrier<Completion>;

 public:
  using arrival_token = typename barrier::arrival_token;

  constexpr explicit basic_tracked_barrier(std::ptrdiff_t expected,
                                           Completion completion = Completion())
      : b_(expected, std::move(completion)) {}
  constexpr basic_tracked_barrier(std::string_view name, std::ptrdiff_t expected,
                                  Completion completion = Completion())
      : b_(expected, std::move(completion)), name_(name) {}

  static constexpr std::ptrdiff_t max() noexcept { return barrier::max(); }

  [[nodiscard]] arrival_token arrive(std::ptrdiff_t update = 1) { return b_.arrive(update); }
  void wait(arrival_token&& arrival) const {
    instruments::waited(R::block(), name_.labels(), [&] {
      b_.wait(std::move(arrival));
      return true;
    });
    sys::block_tail_call();
  }
  void arrive_and_wait() { wait(arrive()); }
  void arrive_and_drop() { b_.arrive_and_drop(); }

 private:
  barrier b_;
  instruments::wait_name<"wait"> name_;
};

template <class Completion, profile_registry R>
requires(!R::enabled) class basic_tracked_barrier<Completion, R>
    : public instruments::unrecorded<std::barrier<Completion>> {
 public:
  using instruments::unrecorded<std::barrier<Completion>>::unrecorded;
  // Takes {} for the completion.
  constexpr basic_tracked_barrier(std::string_view name, std::ptrdiff_t expected,
                                  Completion completion)
      : instruments::unrecorded<std::barrier<Completion>>(name, expected, std::move(completion)) {}
};

// ---- futures

// The waiting functions of both futures. Future: std::future<T> or std::shared_future<T>.
template <class Future, profile_registry R>
class basic_future_waits {
 public:
  basic_future_waits() noexcept = default;
  explicit basic_future_waits(Future future, std::uint32_t labels = 0) noexcept
      : future_(std::move(future)), labels_(labels) {}

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

  // A deferred function runs in here, and that is not a wait.
  void wait() const {
    if (future_.wait_for(std::chrono::seconds(0)) != std::future_status::timeout) {
      return future_.wait();
    }
    instruments::waited(R::block(), labels_, [this] {
      future_.wait();
      return true;
    });
    sys::block_tail_call();
  }
  template <class Duration>
  std::future_status wait_for(const Duration& d) const {
    const std::future_status now = future_.wait_for(std::chrono::seconds(0));
    if (now != std::future_status::timeout || instruments::is_over(d)) return now;
    const std::future_status later =
        instruments::waited(R::block(), labels_, [&] { return future_.wait_for(d); });
    sys::block_tail_call();
    return later;
  }
  template <class Time>
  std::future_status wait_until(const Time& t) const {
    const std::future_status now = future_.wait_for(std::chrono::seconds(0));
    if (now != std::future_status::timeout || instruments::is_over(t)) return now;
    const std::future_status later =
        instruments::waited(R::block(), labels_, [&] { return future_.wait_until(t); });
    sys::block_tail_call();
    return later;
  }

 protected:
  static std::uint32_t labels_of(std::string_view name) noexcept {
    return instruments::wait_name<"wait">(name).labels();
  }

  Future future_;
  std::uint32_t labels_ = 0;  // of the name; it is a number because futures are moved and copied
};

// Takes the place of the std::shared_future it is made from; it may have a name.
template <class T, profile_registry R>
class basic_tracked_shared_future : public basic_future_waits<std::shared_future<T>, R> {
  using base = basic_future_waits<std::shared_future<T>, R>;

 public:
  basic_tracked_shared_future() noexcept = default;
  basic_tracked_shared_future(std::shared_future<T> future) noexcept : base(std::move(future)) {}
  basic_tracked_shared_future(std::future<T>&& future) noexcept : base(future.share()) {}
  basic_tracked_shared_future(std::string_view name, std::shared_future<T> future) noexcept
      : base(std::move(future), base::labels_of(name)) {}
  basic_tracked_shared_future(std::string_view name, std::future<T>&& future) noexcept
      : base(future.share(), base::labels_of(name)) {}

 private:
  template <class, profile_registry>
  friend class basic_tracked_future;
  basic_tracked_shared_future(std::shared_future<T> future, std::uint32_t labels) noexcept
      : base(std::move(future), labels) {}
};

template <class T, profile_registry R>
requires(!R::enabled) class basic_tracked_shared_future<T, R>
    : public instruments::unrecorded<std::shared_future<T>> {
 public:
  using instruments::unrecorded<std::shared_future<T>>::unrecorded;
};

template <class T, profile_registry R>
class basic_tracked_future : public basic_future_waits<std::future<T>, R> {
  using base = basic_future_waits<std::future<T>, R>;

 public:
  basic_tracked_future() noexcept = default;
  basic_tracked_future(std::future<T> future) noexcept : base(std::move(future)) {}
  basic_tracked_future(std::string_view name, std::future<T> future) noexcept
      : base(std::move(future), base::labels_of(name)) {}

  // The shared future keeps the name.
  basic_tracked_shared_future<T, R> share() noexcept {
    return {this->future_.share(), this->labels_};
  }
};

template <class T, profile_registry R>
requires(!R::enabled) class basic_tracked_future<T, R>
    : public instruments::unrecorded<std::future<T>> {
 public:
  using instruments::unrecorded<std::future<T>>::unrecorded;
  basic_tracked_shared_future<T, R> share() noexcept { return std::future<T>::share(); }
};

// ---- anything else

// While it lives, its thread waits: everything inside is one wait in `block`, and waits of the
// thread within it are not recorded again. Hence it must not be open while a coroutine is
// suspended, because the thread then does something else.
template <profile_registry R>
class [[nodiscard]] basic_blocking_scope {
 public:
  [[nodiscard]] basic_blocking_scope() noexcept : wait_(begin({})) {}
  [[nodiscard]] explicit basic_blocking_scope(std::string_view name) noexcept
      : wait_(begin(name)) {}
  ~basic_blocking_scope() { wait_.end(); }
  basic_blocking_scope(const basic_blocking_scope&) = delete;
  basic_blocking_scope& operator=(const basic_blocking_scope&) = delete;

 private:
  [[gnu::noinline]] static instruments::wait begin(std::string_view name) noexcept {
    return {R::block(), instruments::wait_name<"wait">(name).labels(), __builtin_return_address(0)};
  }

  instruments::wait wait_;
};

template <profile_registry R>
requires(!R::enabled) class [[maybe_unused, nodiscard]] basic_blocking_scope<R> {
 public:
  [[nodiscard]] constexpr basic_blocking_scope() noexcept {
  }  // NOLINT(modernize-use-equals-default)
  [[nodiscard]] constexpr explicit basic_blocking_scope(std::string_view) noexcept {}
  basic_blocking_scope(const basic_blocking_scope&) = delete;
  basic_blocking_scope& operator=(const basic_blocking_scope&) = delete;
};

}  // namespace whence::inline v1

#endif  // WHENCE_SYNC_HPP
