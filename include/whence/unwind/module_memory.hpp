// SPDX-License-Identifier: Apache-2.0
//
// How the memory of a module that could be unloaded is read. A synchronous capture reads it in
// place (memory_in_place): each of its return addresses is genuine, and a module whose code is on a
// stack stays. From a signal, code without true call-frame information can lead a walk astray, to a
// module that is going at this very moment: there the kernel copies, and says so where it is gone.
#ifndef WHENCE_UNWIND_MODULE_MEMORY_HPP
#define WHENCE_UNWIND_MODULE_MEMORY_HPP

#include <cstddef>
#include <cstdint>

#include <whence/sys/safe_read.hpp>
#include <whence/unwind/eh_frame.hpp>

namespace whence::inline v1::unwind {

class copied_memory {
 public:
  // nullptr also for what is longer than any entry seen in practice.
  const std::byte* view(std::uintptr_t address, std::size_t size, view_slot slot) noexcept {
    switch (slot) {
      case view_slot::number:
        return copy(numbers_, sizeof numbers_, address, size);
      case view_slot::common_entry:
        return copy(common_, sizeof common_, address, size);
      case view_slot::function_entry:
        return copy(function_, sizeof function_, address, size);
    }
    return nullptr;
  }

 private:
  static const std::byte* copy(std::byte* to, std::size_t room, std::uintptr_t address,
                               std::size_t size) noexcept {
    return size <= room && sys::copy_memory(to, address, size) ? to : nullptr;
  }

  std::byte numbers_[64];
  std::byte common_[64];
  std::byte function_[512];
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_MODULE_MEMORY_HPP
