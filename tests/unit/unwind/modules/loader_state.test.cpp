// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <whence/sys/loader.hpp>
#include <whence/unwind/modules/loader_state.hpp>

using namespace whence;

TEST_CASE("the loader unloads nothing now, if it is known") {
  unwind::loader_state loader;
  CHECK(loader.may_unload());
  sys::for_each_module([&](const dl_phdr_info& executable) {  // it comes first
    loader.find(executable);
    return true;
  });
  CHECK_FALSE(loader.may_unload());
}

TEST_CASE("the loader says that it unloads, in any namespace") {
  r_debug_extended second{};
  r_debug_extended first{};
  first.base.r_version = 2;
  first.r_next = &second;
  ElfW(Dyn) entries[2]{};
  entries[0].d_tag = DT_DEBUG;
  entries[0].d_un.d_ptr = reinterpret_cast<ElfW(Addr)>(&first);
  ElfW(Phdr) segment{};
  segment.p_type = PT_DYNAMIC;
  segment.p_vaddr = reinterpret_cast<ElfW(Addr)>(entries);
  dl_phdr_info executable{};
  executable.dlpi_phdr = &segment;
  executable.dlpi_phnum = 1;
  unwind::loader_state loader;
  loader.find(executable);
  CHECK_FALSE(loader.may_unload());
  second.base.r_state = r_debug::RT_DELETE;
  CHECK(loader.may_unload());
  first.base.r_version = 1;  // it has no next one
  CHECK_FALSE(loader.may_unload());
  first.base.r_state = r_debug::RT_DELETE;
  CHECK(loader.may_unload());
}
