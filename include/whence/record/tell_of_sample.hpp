// SPDX-License-Identifier: Apache-2.0
//
// Calls the work that a thread which allocates does for the library, if any is asked for
// (environment/agent.hpp). Requires: the caller is about to record a block, holds no lock of ours,
// and is not inside of the library, as the work allocates.
#ifndef WHENCE_RECORD_TELL_OF_SAMPLE_HPP
#define WHENCE_RECORD_TELL_OF_SAMPLE_HPP

#include <atomic>

#include <whence/state/process_state.hpp>

namespace whence::inline v1::record {

inline void tell_of_sample(state::process_state& s) noexcept {
  if (auto* const work = s.samplers.after_sample.load(std::memory_order_acquire)) work(s);
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_TELL_OF_SAMPLE_HPP
