// SPDX-License-Identifier: Apache-2.0
//
// Who took a lock last, and where: two words that the lock's taker writes and a dump of threads
// reads. The stack pointer tells the thread, whose stack it is in, and, while the function that
// took the lock has not returned, its frame there. While somebody waits, it is mostly who has the
// lock.
#ifndef WHENCE_INSTRUMENTS_LOCK_HOLDER_HPP
#define WHENCE_INSTRUMENTS_LOCK_HOLDER_HPP

#include <cstdint>

#include <whence/sys/code_place.hpp>

namespace whence::inline v1::core {

// Written by the lock's holder alone; read by a copy of the kernel's, of which both words are true
// or the reader finds out that the wait it belongs to is over.
struct lock_holder {
  std::uintptr_t sp = 0;  // 0: nobody yet
  std::uintptr_t pc = 0;  // an instruction

  [[gnu::always_inline]] void note() noexcept {
    sys::store_stack_pointer(sp);
    pc = sys::instruction_pointer();
  }
};

}  // namespace whence::inline v1::core

#endif  // WHENCE_INSTRUMENTS_LOCK_HOLDER_HPP
