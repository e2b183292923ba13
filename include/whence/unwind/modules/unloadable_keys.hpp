// SPDX-License-Identifier: Apache-2.0
//
// Before a stack is kept, its addresses in plugins become keys (unloadable_modules.hpp): another
// library may lie at the same addresses by the time a reader asks for names, but no other one has
// those keys.
//
// Cost: nothing if the stack went through no plugin. Signal-safe. Never allocates.
#ifndef WHENCE_UNWIND_MODULES_UNLOADABLE_KEYS_HPP
#define WHENCE_UNWIND_MODULES_UNLOADABLE_KEYS_HPP

#include <cstddef>
#include <cstdint>

#include <whence/sys/safe_read.hpp>
#include <whence/unwind/modules/module_memory.hpp>
#include <whence/unwind/modules/unloadable_modules.hpp>
#include <whence/unwind/trace.hpp>
#include <whence/unwind/unwinder.hpp>

namespace whence::inline v1::unwind {

template <class Memory>
[[gnu::noinline, gnu::cold]] void put_keys(unwinder& u, trace& t) noexcept {
  Memory memory;
  if (t.is_guessed) distrust(memory);
  plugin current;
  for (std::size_t i = 0; i < t.depth; ++i) {
    const std::uintptr_t address = t.pcs[i];
    if (address < sys::page_bytes) continue;  // a pseudo-frame
    const std::uintptr_t lookup = i == 0 && t.leaf_is_ip ? address : address - 1;
    if (u.is_in_plugin(lookup, memory, current) && current.keys != 0) {
      t.pcs[i] = current.key_of(address);
    }
  }
}

// `Memory`: the one that the stack was walked with.
template <class Memory>
[[gnu::always_inline]] inline void use_keys(unwinder& u, trace& t) noexcept {
  if (t.has_plugins) [[unlikely]]
    put_keys<Memory>(u, t);
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_MODULES_UNLOADABLE_KEYS_HPP
