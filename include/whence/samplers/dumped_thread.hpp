// SPDX-License-Identifier: Apache-2.0
//
// A thread, while the dump it is in is being made.
#ifndef WHENCE_SAMPLERS_DUMPED_THREAD_HPP
#define WHENCE_SAMPLERS_DUMPED_THREAD_HPP

#include <cstddef>
#include <cstdint>
#include <vector>

#include <whence/profile/thread_state.hpp>
#include <whence/samplers/asked_stack.hpp>

namespace whence::inline v1::samplers {

struct dumped_thread : core::placed_thread {
  std::vector<std::uintptr_t> frame_sps;  // of a thread that sleeps: the stack pointer of each
  std::uintptr_t sp = 0;                  // 0: not known
  std::int64_t cpu_ns = -1;               // of a thread that sleeps, or when it was asked
  asked_stack* asked = nullptr;
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_DUMPED_THREAD_HPP
