// SPDX-License-Identifier: Apache-2.0
//
// The loader's list of modules. Walking it takes a lock of the loader's, which stays taken for good
// in a forked child if another thread held it at the fork: so all walks of this library, and all it
// calls that may walk the list, run under a lock that fork waits for (state/fork.hpp).
//
// Code under that lock takes no other lock of this library. Not for signal handlers.
#ifndef WHENCE_SYS_LOADER_HPP
#define WHENCE_SYS_LOADER_HPP

#include <dlfcn.h>
#include <link.h>

#include <cstddef>

#include <whence/sys/guard.hpp>
#include <whence/sys/spin_lock.hpp>

namespace whence::inline v1::sys {

[[gnu::visibility("hidden")]] inline constinit spin_lock loader_walk;

// Calls visit(dl_phdr_info&) for each module, in link-map order, until it returns true.
template <class Visit>
void for_each_module(Visit visit) {
  const guard hold(loader_walk);
  ::dl_iterate_phdr([](dl_phdr_info* info, std::size_t,
                       void* argument) { return (*static_cast<Visit*>(argument))(*info) ? 1 : 0; },
                    &visit);
}

// Keeps the plugin that holds `object` loaded for good. Only a plugin's own code can be the first
// to need that, and only in a plugin does dlopen surely work (a static program gets a linker's
// warning).
inline void keep_loaded([[maybe_unused]] const void* object) {
#if defined(__PIC__) && !defined(__PIE__)
  Dl_info where{};
  link_map* module = nullptr;
  if (::dladdr1(object, &where, reinterpret_cast<void**>(&module), RTLD_DL_LINKMAP) == 0) return;
  if (module == nullptr || *module->l_name == '\0') return;  // the executable
  ::dlopen(module->l_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
#endif
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_LOADER_HPP
