// SPDX-License-Identifier: Apache-2.0
//
// How the memory of a module that could be unloaded is read. A synchronous capture reads it in
// place (memory_in_place): each of its return addresses is genuine, and a module whose code is on a
// stack stays. From a signal, code without true call-frame information can lead a walk astray, to a
// module that is going at this very moment: there the kernel copies, and says so where it is gone.
#ifndef WHENCE_UNWIND_MODULE_MEMORY_HPP
#define WHENCE_UNWIND_MODULE_MEMORY_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/sys/safe_read.hpp>
#include <whence/unwind/eh_frame.hpp>

namespace whence::inline v1::unwind {

// For the entries of functions with many exits, which would take too much of a handler's stack: one
// in some thousand is longer than 512 bytes, and the longest seen is 1040.
struct long_entry_room {
  std::atomic<bool> is_taken;
  std::byte bytes[4096];
};
// As many handlers at once can look at such entries.
[[gnu::visibility("hidden")]] inline constinit long_entry_room long_entry_rooms[4]{};

class copied_memory {
 public:
  copied_memory() noexcept = default;
  copied_memory(const copied_memory&) = delete;
  copied_memory& operator=(const copied_memory&) = delete;
  ~copied_memory() {
    if (long_ != nullptr) long_->is_taken.store(false, std::memory_order_release);
  }

  // nullptr also for what is longer than any entry seen in practice.
  const std::byte* view(std::uintptr_t address, std::size_t size, view_slot slot) noexcept {
    switch (slot) {
      case view_slot::number:
        return copy(numbers_, sizeof numbers_, address, size);
      case view_slot::common_entry:
        return copy(common_, sizeof common_, address, size);
      case view_slot::function_entry:
        if (size <= sizeof function_) return copy(function_, sizeof function_, address, size);
        if (long_ == nullptr) long_ = take_room();
        return long_ == nullptr ? nullptr : copy(long_->bytes, sizeof long_->bytes, address, size);
    }
    return nullptr;
  }

 private:
  static const std::byte* copy(std::byte* to, std::size_t room, std::uintptr_t address,
                               std::size_t size) noexcept {
    return size <= room && sys::copy_memory(to, address, size) ? to : nullptr;
  }

  static long_entry_room* take_room() noexcept {
    for (long_entry_room& r : long_entry_rooms) {
      if (!r.is_taken.exchange(true, std::memory_order_acquire)) return &r;
    }
    return nullptr;
  }

  std::byte numbers_[64];
  std::byte common_[64];
  std::byte function_[512];
  long_entry_room* long_ = nullptr;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_MODULE_MEMORY_HPP
