// SPDX-License-Identifier: Apache-2.0
//
// The thread that took a lock last, and the instruction at which it did: two words that the taker
// writes and a dump of threads reads. The stack pointer tells the thread, because it lies in that
// thread's stack, and, until the function that took the lock returns, its frame there. While
// threads wait for the lock, that thread usually holds it.
#ifndef WHENCE_INSTRUMENTS_LOCK_HOLDER_HPP
#define WHENCE_INSTRUMENTS_LOCK_HOLDER_HPP

#include <cstdint>

#include <whence/sys/here.hpp>

namespace whence::inline v1::instruments {

// Only the lock's holder writes it. The reader takes a copy through the kernel, and either both
// words are true or the reader finds out that the wait they belong to is over.
struct lock_holder {
  std::uintptr_t sp = 0;  // 0: not taken yet
  std::uintptr_t pc = 0;  // an instruction

  [[gnu::always_inline]] void note() noexcept {
    sys::store_current_sp(sp);
    pc = sys::current_pc();
  }
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_LOCK_HOLDER_HPP
