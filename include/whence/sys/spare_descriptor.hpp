// SPDX-License-Identifier: Apache-2.0
//
// One descriptor that is kept for the moment when the process has none left, which is when a
// profile is needed most: it is closed to open a file, and taken again once the file is closed.
//
// It is an empty file without a name. A program may close descriptors that it did not open, and the
// number may then belong to another file: so it is closed only if it is still that file. Its number
// is not one of the lowest, which programs rely on getting.
//
// Thread-safe. Keeps errno. Not for signal handlers.
#ifndef WHENCE_SYS_SPARE_DESCRIPTOR_HPP
#define WHENCE_SYS_SPARE_DESCRIPTOR_HPP

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/known_file.hpp>

namespace whence::inline v1::sys {

class spare_descriptor {
 public:
  // Opens the spare descriptor, if it is missing and the process may open another.
  void refill() noexcept {
    const errno_guard keep;
    const cancel_guard uncancelled;
    int before = take();
    if (before == taken) return;
    if (before == none || !file_.may_be_at(before)) before = make();
    number_.store(before, std::memory_order_release);
  }

  // Returns true if the process has one more free descriptor than before.
  bool spend() noexcept {
    const errno_guard keep;
    const cancel_guard uncancelled;
    const int number = take();
    if (number == taken) return false;
    const bool ours = file_.is_at(number);
    if (ours) ::close(number);
    number_.store(none, std::memory_order_release);
    return ours;
  }

 private:
  static constexpr int least_number = 10;
  static constexpr int none = -1;
  // Another thread uses it; a child of fork may find it so for ever, and then has no spare one.
  static constexpr int taken = -2;

  int take() noexcept { return number_.exchange(taken, std::memory_order_acquire); }

  int make() noexcept {
    const int low = ::memfd_create("whence", MFD_CLOEXEC);
    if (low < 0) return none;
    int number = ::fcntl(low, F_DUPFD_CLOEXEC, least_number);
    if (number >= 0) {
      ::close(low);
    } else {
      number = low;  // every higher number is taken
    }
    file_ = known_file(number);
    if (file_) return number;
    ::close(number);
    return none;
  }

  std::atomic<int> number_{none};
  known_file file_;  // guarded by number_ being busy
};

// Hidden: each module with the reading code has its own.
[[gnu::visibility("hidden")]] inline constinit spare_descriptor spare;

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_SPARE_DESCRIPTOR_HPP
