// SPDX-License-Identifier: Apache-2.0
//
// How a walk reads the memory of a module that could be unloaded. A module whose code is on a stack
// stays, so a synchronous capture reads it in place, as long as each of its return addresses is
// genuine: found by call-frame information. Code without it (a JIT's, assembly's) can lead a walk
// astray, to a module that is going at this very moment; from there on the kernel copies, and says
// so if the memory is gone. A signal may interrupt such code, so its walk has every byte copied.
#ifndef WHENCE_UNWIND_MODULES_MODULE_MEMORY_HPP
#define WHENCE_UNWIND_MODULES_MODULE_MEMORY_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/sys/safe_read.hpp>
#include <whence/unwind/cfi/eh_frame.hpp>

namespace whence::inline v1::unwind {

// Room for the entries of functions with many exits, which would take too much of a handler's
// stack: about one in a thousand is longer than 512 bytes, and the longest seen has 1040.
inline constexpr int long_entries = 4;  // so many handlers can read one at a time
[[gnu::visibility("hidden")]] inline constinit std::atomic<bool> long_taken[long_entries]{};
[[gnu::visibility("hidden")]] inline constinit std::byte long_entry[long_entries][4096]{};

class copied_memory {
 public:
  copied_memory() noexcept = default;
  copied_memory(copied_memory&&) = delete;
  ~copied_memory() {
    if (long_ >= 0) long_taken[long_].store(false, std::memory_order_release);
  }

  // nullptr also for an entry longer than any seen in practice.
  const std::byte* view(std::uintptr_t address, std::size_t size, view_slot slot) noexcept {
    switch (slot) {
      case view_slot::number:
        return copy(numbers_, sizeof numbers_, address, size);
      case view_slot::common_entry:
        return copy(common_, sizeof common_, address, size);
      case view_slot::function_entry:
        if (size <= sizeof function_) return copy(function_, sizeof function_, address, size);
        for (int i = 0; long_ < 0 && i < long_entries; ++i) {
          if (!long_taken[i].exchange(true, std::memory_order_acquire)) long_ = i;
        }
        return long_ < 0 ? nullptr : copy(long_entry[long_], sizeof long_entry[0], address, size);
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
  int long_ = -1;  // the long entry that this object holds
};

// The memory of a synchronous capture: in place until the walk has an address that it only guessed.
class trusted_memory {
 public:
  void distrust() noexcept { trusted_ = false; }
  void trust(bool trusted) noexcept { trusted_ = trusted; }
  bool is_trusted() const noexcept { return trusted_; }

  const std::byte* view(std::uintptr_t address, std::size_t size, view_slot slot) noexcept {
    return trusted_ ? memory_in_place::view(address, size, slot)
                    : copied_.view(address, size, slot);
  }

 private:
  bool trusted_ = true;
  copied_memory copied_;
};

inline void distrust(trusted_memory& memory) noexcept {
  memory.distrust();
}
inline void distrust(copied_memory&) noexcept {}
inline bool is_trusted(const trusted_memory& memory) noexcept {
  return memory.is_trusted();
}
inline bool is_trusted(const copied_memory&) noexcept {
  return false;
}

// While it lives, memory is read through the kernel, if `distrusts`.
template <class Memory>
class distrust_scope {
 public:
  distrust_scope(Memory& memory, bool distrusts) noexcept
      : memory_(memory), was_(is_trusted(memory)) {
    if (distrusts) distrust(memory);
  }
  ~distrust_scope() {
    if constexpr (requires { memory_.trust(was_); }) memory_.trust(was_);
  }
  distrust_scope(const distrust_scope&) = delete;
  distrust_scope& operator=(const distrust_scope&) = delete;

 private:
  Memory& memory_;
  const bool was_;
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_MODULES_MODULE_MEMORY_HPP
