// SPDX-License-Identifier: Apache-2.0
//
// What the code before an address tells about it: a return address follows a call. The bytes are
// copied by the kernel, since the address may be anything. Signal-safe. Some 1 us.
#ifndef WHENCE_UNWIND_WALK_RETURN_ADDRESS_CHECK_HPP
#define WHENCE_UNWIND_WALK_RETURN_ADDRESS_CHECK_HPP

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

// True if the call before `ra` is a direct one to `function`, or to a stub that jumps there.
inline bool calls(std::uintptr_t ra, std::uintptr_t function) noexcept {
  const std::uintptr_t target = site_before(ra).target;
  if (target == 0 || target == function) return target != 0;
  unsigned char stub[longest_stub];
  if (!sys::copy_memory(stub, target, sizeof stub)) return false;
  const std::uintptr_t slot = slot_of_stub(stub, target);
  std::uintptr_t destination = 0;
  return slot != 0 && sys::copy_memory(&destination, slot, sizeof destination) &&
         destination == function;
}

// True if the call before `ra` is one to `function`, or an indirect one, which may be.
inline bool may_call(std::uintptr_t ra, std::uintptr_t function) noexcept {
  const call_site site = site_before(ra);
  return site.is_call && (site.target == 0 || calls(ra, function));
}

inline bool follows_call(std::uintptr_t ra) noexcept {
  return site_before(ra).is_call;
}

// True if a signal handler that returns to `address` ends its signal there.
inline bool ends_signal(std::uintptr_t address) noexcept {
  unsigned char code[signal_return_bytes];
  return sys::copy_memory(code, address, sizeof code) && is_signal_return(code);
}

}  // namespace whence::inline v1::unwind

#endif  // WHENCE_UNWIND_WALK_RETURN_ADDRESS_CHECK_HPP
