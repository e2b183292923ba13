// SPDX-License-Identifier: Apache-2.0
//
// What a thread inherits from the thread that makes it: the stack of its creation, which counts in
// `threadcreate` while the thread lives, the labels in force there, and a name.
//
//   creating thread:   birth b(profile, name, caller);   start it;   b.cancel() if it did not start
//   new thread:        b.adopt();                        its end takes it out of the profile
//
// It consists of a few words, and is copied as one. Thread-safe; not for signal handlers.
#ifndef WHENCE_INSTRUMENTS_BIRTH_HPP
#define WHENCE_INSTRUMENTS_BIRTH_HPP

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <whence/instruments/recorder.hpp>
#include <whence/instruments/thread_words.hpp>
#include <whence/names.hpp>
#include <whence/sys/atomic_word.hpp>

namespace whence::inline v1::instruments {

// The kernel's name of a thread: 15 bytes and a zero.
struct system_name {
  char text[16]{};

  constexpr system_name() noexcept = default;
  explicit system_name(std::string_view name) noexcept {
    const std::size_t length = name.size() < sizeof text ? name.size() : sizeof text - 1;
    for (std::size_t i = 0; i < length; ++i) text[i] = name[i];
  }

  void give_to_this_thread() const noexcept {
    if (text[0] != '\0') ::pthread_setname_np(::pthread_self(), text);
  }
};

struct birth_words {
  void* created = nullptr;   // a bucket of threadcreate
  std::uint64_t labels = 0;  // label_word.hpp
  std::uint32_t name = 0;    // a set of the label `thread` alone; 0: no name
};

class birth {
 public:
  // The stack begins at the frame that returns to `caller`. Requires: as the recorder.
  birth(profile& threadcreate, std::string_view name, const void* caller) noexcept : name_(name) {
    const recorder* const r = recorder_here();
    if (r != nullptr) r->begin_birth(words_, threadcreate, name.data(), name.size(), caller);
  }

  void cancel() noexcept {
    if (const recorder* const r = recorder_here()) r->cancel_birth(words_);
  }

  // The new thread calls this.
  void adopt() noexcept {
    name_.give_to_this_thread();
    if (const recorder* const r = recorder_here()) r->adopt_birth(words_);
  }

 private:
  system_name name_;
  birth_words words_;
};

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

#endif  // WHENCE_INSTRUMENTS_BIRTH_HPP
