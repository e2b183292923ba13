// SPDX-License-Identifier: Apache-2.0
//
// How whoever watches pthread_create (<whence/pthread.hpp>) is told to pass over a thread.
#ifndef WHENCE_PROFILE_KNOWN_START_HPP
#define WHENCE_PROFILE_KNOWN_START_HPP

#include <atomic>

#include <whence/profile/process_state.hpp>
#include <whence/profile/thread_labels.hpp>
#include <whence/profile/thread_records.hpp>

namespace whence::inline v1::core {

// While it lives, the threads that the calling thread starts are recorded already, or are ours.
class known_start {
 public:
  known_start() noexcept {
    process_state* const s = state();
    record_ = s == nullptr ? nullptr : record_of_this_thread(*s);
    if (record_ != nullptr) record_->starts_known.store(true, std::memory_order_relaxed);
  }
  ~known_start() {
    if (record_ != nullptr) record_->starts_known.store(false, std::memory_order_relaxed);
  }
  known_start(const known_start&) = delete;
  known_start& operator=(const known_start&) = delete;

 private:
  thread_record* record_;
};

}  // namespace whence::inline v1::core

#endif  // WHENCE_PROFILE_KNOWN_START_HPP
