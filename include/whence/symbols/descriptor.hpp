// SPDX-License-Identifier: Apache-2.0
//
// An open file. It is closed with the object, and also in a child of fork, even in the middle of a
// read.
//
// If the process has no descriptor left, the spare one is closed to make room.
#ifndef WHENCE_SYMBOLS_DESCRIPTOR_HPP
#define WHENCE_SYMBOLS_DESCRIPTOR_HPP

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <type_traits>
#include <utility>

#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/spare_descriptor.hpp>

namespace whence::inline v1::symbols {

// The descriptors that are open now. If a thread opens a file and another one forks before add(),
// the file stays open in the child.
template <class = void>
class basic_open_descriptors {
 public:
  void add(int number) noexcept {
    for (std::atomic<int>& slot : slots_) {
      int none = 0;
      if (slot.compare_exchange_strong(none, number + 1, std::memory_order_relaxed)) return;
    }
  }
  void remove(int number) noexcept {
    for (std::atomic<int>& slot : slots_) {
      int known = number + 1;
      if (slot.compare_exchange_strong(known, 0, std::memory_order_relaxed)) return;
    }
  }
  void close_all() noexcept {
    for (std::atomic<int>& slot : slots_) {
      const int known = slot.exchange(0, std::memory_order_relaxed);
      if (known != 0) ::close(known - 1);
    }
  }

 private:
  std::atomic<int> slots_[64]{};
};
using open_descriptors = basic_open_descriptors<>;

inline constinit open_descriptors all_open;

class descriptor {
 public:
  // If it is not open, error() says why.
  explicit descriptor(const char* path) noexcept
      : descriptor([path] { return ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); }) {}
  // An empty file without a name, for reading and writing.
  static descriptor in_memory() noexcept {
    return descriptor([] { return ::memfd_create("whence", MFD_CLOEXEC); });
  }
  descriptor(descriptor&& other) noexcept
      : number_(std::exchange(other.number_, -1)), error_(other.error_) {}
  descriptor& operator=(descriptor&&) = delete;
  ~descriptor() {
    if (number_ < 0) return;
    const sys::errno_guard keep;
    const sys::cancel_guard uncancelled;
    all_open.remove(number_);
    ::close(number_);
  }

  static constexpr bool is_out_of_descriptors(int error) noexcept {
    return error == EMFILE || error == ENFILE;
  }

  int get() const noexcept { return number_; }
  int error() const noexcept { return error_; }

 private:
  template <class Open>
  requires std::is_invocable_r_v<int, Open>
  explicit descriptor(Open open) noexcept {
    const sys::errno_guard keep;
    const sys::cancel_guard uncancelled;
    do {
      number_ = open();
    } while (number_ < 0 &&
             (errno == EINTR || (is_out_of_descriptors(errno) && sys::spare.spend())));
    if (number_ >= 0) {
      all_open.add(number_);
    } else {
      error_ = errno;
    }
  }

  int number_ = -1;
  int error_ = 0;
};

}  // namespace whence::inline v1::symbols

#endif  // WHENCE_SYMBOLS_DESCRIPTOR_HPP
