// SPDX-License-Identifier: Apache-2.0
//
// The loader's list of modules. Walking it takes a lock of the loader's, which stays taken for good
// in a forked child if another thread held it at the fork: so all our walks, and what else of ours
// may walk the list, run under a lock that fork waits for (profile/fork.hpp).
//
// What runs under it takes no other lock of ours. Not for signal handlers.
#ifndef WHENCE_SYS_LOADER_HPP
#define WHENCE_SYS_LOADER_HPP

#include <link.h>

#include <cstddef>

#include <whence/sys/spin_lock.hpp>

namespace whence::inline v1::sys {

[[gnu::visibility("hidden")]] inline constinit spin_lock loader_walk;

// Calls visit(dl_phdr_info&) for each module, in link-map order, until it returns true.
template <class Visit>
void for_each_module(Visit visit) {
  const scoped_lock hold(loader_walk);
  ::dl_iterate_phdr([](dl_phdr_info* info, std::size_t,
                       void* argument) { return (*static_cast<Visit*>(argument))(*info) ? 1 : 0; },
                    &visit);
}

// Whether the segment is in memory: its bytes may be read while the walk lasts.
inline bool is_mapped(const dl_phdr_info& module, const ElfW(Phdr) & segment) noexcept {
  for (int i = 0; i < module.dlpi_phnum; ++i) {
    const ElfW(Phdr)& load = module.dlpi_phdr[i];
    if (load.p_type == PT_LOAD && (load.p_flags & PF_R) != 0 && segment.p_vaddr >= load.p_vaddr &&
        segment.p_vaddr + segment.p_memsz <= load.p_vaddr + load.p_memsz) {
      return true;
    }
  }
  return false;
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_LOADER_HPP
