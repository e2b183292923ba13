// SPDX-License-Identifier: Apache-2.0
//
// The events of a server's sockets (epoll), and a call from other threads that ends the wait for
// them (eventfd).
//
// A program may close descriptors that it did not open, and its files may then get their numbers.
// epoll knows a file by its number and its identity, so it can say whether a number is still ours.
#ifndef WHENCE_SERVE_EVENT_QUEUE_HPP
#define WHENCE_SERVE_EVENT_QUEUE_HPP

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include <whence/sys/above_standard.hpp>
#include <whence/sys/catch_error.hpp>

namespace whence::inline v1::serve {

class event_queue {
 public:
  event_queue() noexcept {
    if (epoll_ >= 0 && wake_ >= 0 && change(EPOLL_CTL_ADD, wake_, EPOLLIN, &wake_)) return;
    error_ = sys::errno_code(errno);
    ::close(wake_);
    ::close(epoll_);
  }
  ~event_queue() { close(); }
  event_queue(const event_queue&) = delete;
  event_queue& operator=(const event_queue&) = delete;

  std::error_code error() const noexcept { return error_; }

  // Ends a wait. Thread-safe.
  void wake() const noexcept {
    if (is_intact()) (void)::eventfd_write(wake_, 1);
  }

  // `of` is the data of the descriptor's events.
  bool add(int descriptor, std::uint32_t events, const void* of) noexcept {
    return change(EPOLL_CTL_ADD, descriptor, events, of);
  }
  bool modify(int descriptor, std::uint32_t events, const void* of) noexcept {
    return change(EPOLL_CTL_MOD, descriptor, events, of);
  }
  // False if the descriptor is not the file that was added.
  bool remove(int descriptor) noexcept { return change(EPOLL_CTL_DEL, descriptor, 0, nullptr); }

  // Valid until the next call. The call of wake() is not among them.
  std::span<const ::epoll_event> wait(int milliseconds) noexcept {
    const int count =
        ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), milliseconds);
    is_lost_ = (count < 0 && errno != EINTR) || !is_intact();
    if (is_lost_ || count < 0) return {};
    std::size_t kept = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      ::eventfd_t ignored = 0;
      if (events_[i].data.ptr == &wake_) {
        (void)::eventfd_read(wake_, &ignored);
      } else {
        events_[kept++] = events_[i];
      }
    }
    return std::span(events_).first(kept);
  }

  // True if the last wait found that the program has closed our descriptors.
  bool is_lost() const noexcept { return is_lost_; }

  // Async-signal-safe, so for a child of fork, too.
  void close() noexcept {
    if (!is_intact()) return;
    ::close(wake_);
    ::close(epoll_);
  }

 private:
  bool change(int how, int descriptor, std::uint32_t events, const void* of) const noexcept {
    ::epoll_event event{};
    event.events = events;
    event.data.ptr = const_cast<void*>(of);
    return ::epoll_ctl(epoll_, how, descriptor, &event) == 0;
  }

  bool is_intact() const noexcept { return change(EPOLL_CTL_MOD, wake_, EPOLLIN, &wake_); }

  const int epoll_ = sys::above_standard(::epoll_create1(EPOLL_CLOEXEC));
  const int wake_ = sys::above_standard(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  std::error_code error_;
  bool is_lost_ = false;
  std::array<::epoll_event, 64> events_{};
};

}  // namespace whence::inline v1::serve

#endif  // WHENCE_SERVE_EVENT_QUEUE_HPP
