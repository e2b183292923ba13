// SPDX-License-Identifier: Apache-2.0
//
// What the code before an address says of it: a return address follows a call. The bytes are copied
// by the kernel, since the address may be anything. Signal-safe. Some 1 us.
#ifndef WHENCE_UNWIND_CODE_CHECK_HPP
#define WHENCE_UNWIND_CODE_CHECK_HPP

#include <cstdint>

#include <whence/sys/safe_read.hpp>
#include <whence/unwind/arch.hpp>

namespace whence::inline v1::unwind {

inline call_site site_before(std::uintptr_t ra) noexcept {
  unsigned char before[longest_call];
  if (ra < sys::page_bytes || !sys::copy_memory(before, ra - sizeof before, sizeof before))
    return {};
  return call_before(before, ra);
}

inline bool follows_call(std::uintptr_t ra) noexcept {
  return site_before(ra).is_call;
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_CODE_CHECK_HPP
