// SPDX-License-Identifier: Apache-2.0
//
// Tells pthread_create of <whence/pthread.hpp> not to record a thread.
#ifndef WHENCE_INSTRUMENTS_UNRECORDED_START_HPP
#define WHENCE_INSTRUMENTS_UNRECORDED_START_HPP

#include <whence/instruments/thread_words.hpp>
#include <whence/sys/word.hpp>

namespace whence::inline v1::instruments {

// While it lives, the threads that the calling thread starts are recorded already, or belong to the
// library.
class unrecorded_start {
 public:
  unrecorded_start() noexcept : words_(this_thread()) { set(true); }
  ~unrecorded_start() { set(false); }
  unrecorded_start(const unrecorded_start&) = delete;
  unrecorded_start& operator=(const unrecorded_start&) = delete;

 private:
  void set(bool to) noexcept {
    if (words_ != nullptr) words_->starts_unrecorded.store(to, sys::relaxed);
  }

  thread_words* words_;
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_UNRECORDED_START_HPP
