// SPDX-License-Identifier: Apache-2.0
//
// The words of a thread's record that recording pages read and write (tables/thread_records.hpp),
// and the way to them: each module remembers the record of a thread in a word of its own.
//
// A record is given back when its thread ends, and may belong to another thread when destructors of
// the same thread run afterwards. Hence it says which thread owns it.
#ifndef WHENCE_INSTRUMENTS_THREAD_WORDS_HPP
#define WHENCE_INSTRUMENTS_THREAD_WORDS_HPP

#include <cstdint>

#include <whence/instruments/recorder.hpp>
#include <whence/sys/atomic_word.hpp>
#include <whence/sys/thread_local.hpp>
#include <whence/sys/thread_pointer.hpp>

namespace whence::inline v1::instruments {

struct thread_words {
  sys::atomic_word<std::uintptr_t> owner{0};        // sys::thread_pointer; 0: it is free
  sys::atomic_word<std::uint64_t> labels{0};        // those in force: label_word.hpp
  sys::atomic_word<bool> starts_unrecorded{false};  // threads that it starts now need no birth
};

WHENCE_THREAD_LOCAL thread_words* own_thread_words{nullptr};

[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline thread_words*
take_thread_words() noexcept {
  const recorder* const r = recorder_here();
  return own_thread_words = r == nullptr ? nullptr : r->this_thread(true);
}

inline bool is_of_this_thread(const thread_words& words) noexcept {
  return words.owner.load(sys::relaxed) == sys::thread_pointer();
}

// The words of the calling thread; nullptr if nothing records, or there is no memory.
[[gnu::visibility("hidden")]] inline thread_words* this_thread() noexcept {
  thread_words* const known = own_thread_words;
  return known != nullptr && is_of_this_thread(*known) ? known : take_thread_words();
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_THREAD_WORDS_HPP
