// SPDX-License-Identifier: Apache-2.0
//
// A thread of a dump that is being made.
#ifndef WHENCE_SAMPLERS_DUMPED_THREAD_HPP
#define WHENCE_SAMPLERS_DUMPED_THREAD_HPP

#include <cstddef>
#include <cstdint>
#include <vector>

#include <whence/profile/thread_state.hpp>
#include <whence/samplers/asked_stack.hpp>

namespace whence::inline v1::samplers {

struct dumped_thread : core::placed_thread {
  std::vector<std::uintptr_t> frame_sps;  // each frame's stack pointer, if the thread sleeps
  std::uintptr_t sp = 0;                  // 0 if unknown
  std::int64_t cpu_ns = -1;               // when it was asked, or in its sleep
  asked_stack* asked = nullptr;
};

}  // namespace whence::inline v1::samplers

#endif  // WHENCE_SAMPLERS_DUMPED_THREAD_HPP
