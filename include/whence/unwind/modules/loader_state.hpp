// SPDX-License-Identifier: Apache-2.0
//
// Whether the loader unloads modules now. It says so to debuggers (System V gABI, DT_DEBUG; glibc's
// <link.h>), in each namespace: before it unmaps the first module, until it names none of them any
// more.
#ifndef WHENCE_UNWIND_MODULES_LOADER_STATE_HPP
#define WHENCE_UNWIND_MODULES_LOADER_STATE_HPP

#include <link.h>

#include <atomic>
#include <cstdint>

namespace whence::inline v1::unwind {

class loader_state {
 public:
  // Finds what the loader says by the executable. A static one has none.
  void find(const dl_phdr_info& executable) noexcept {
    for (int i = 0; i < executable.dlpi_phnum; ++i) {
      const ElfW(Phdr)& segment = executable.dlpi_phdr[i];
      if (segment.p_type != PT_DYNAMIC) continue;
      const auto* d = reinterpret_cast<const ElfW(Dyn)*>(executable.dlpi_addr + segment.p_vaddr);
      while (d->d_tag != DT_NULL && d->d_tag != DT_DEBUG) ++d;
      if (d->d_tag == DT_DEBUG) {
        first_.store(reinterpret_cast<const r_debug_extended*>(d->d_un.d_ptr),
                     std::memory_order_release);
      }
    }
  }

  // True also if it is not known. Signal-safe.
  bool may_unload() const noexcept {
    const r_debug_extended* space = first_.load(std::memory_order_acquire);
    if (space == nullptr) return true;
    do {
      if (__atomic_load_n(&space->base.r_state, __ATOMIC_ACQUIRE) == r_debug::RT_DELETE)
        return true;
      // Version 1 has no next namespace.
      space =
          space->base.r_version < 2 ? nullptr : __atomic_load_n(&space->r_next, __ATOMIC_ACQUIRE);
    } while (space != nullptr);
    return false;
  }

 private:
  std::atomic<const r_debug_extended*> first_{nullptr};
};

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_MODULES_LOADER_STATE_HPP
