// SPDX-License-Identifier: Apache-2.0
//
// What a thread takes along from the one that makes it: the stack of its creation, which counts in
// `threadcreate` while the thread lives, the labels in force there, and a name.
//
//   creating thread:   birth b(profile, caller);   start it;   b.cancel() where it did not start
//   new thread:        b.adopt();                  its end takes it out of the profile
//
// A number of words, to be copied like one. Thread-safe; not for signal handlers.
#ifndef WHENCE_INSTRUMENTS_BIRTH_HPP
#define WHENCE_INSTRUMENTS_BIRTH_HPP

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <whence/profile/attach.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/profile/profile.hpp>
#include <whence/profile/record.hpp>
#include <whence/profile/thread_labels.hpp>
#include <whence/profile/thread_records.hpp>
#include <whence/stack/bucket.hpp>
#include <whence/stack/label_sets.hpp>

namespace whence::inline v1::instruments {

// Gives the calling thread a name: the kernel's, which keeps 15 bytes of it, and the label `thread`
// over those in force.
inline void name_this_thread(core::process_state& s, std::uint32_t name) noexcept {
  core::thread_record* const r = core::record_of_this_thread(s);
  if (r == nullptr || name == stack::label_sets::none || name == stack::label_sets::overflow) {
    return;
  }
  r->name.store(name, std::memory_order_relaxed);
  r->labels.store(s.label_merges.over(r->labels.load(std::memory_order_relaxed), name),
                  std::memory_order_relaxed);
  const stack::label_list set = s.labels.of(name);
  if (set.empty()) return;
  char text[16]{};
  const std::string_view whole = set[0].value;
  std::memcpy(text, whole.data(), whole.size() < 15 ? whole.size() : 15);
  ::pthread_setname_np(::pthread_self(), text);
}

inline std::uint32_t name_set(core::process_state& s, std::string_view name) noexcept {
  if (name.empty()) return stack::label_sets::none;
  const stack::label one{"thread", name};
  return s.labels.intern({&one, 1});
}

class birth {
 public:
  // The stack begins at the frame that returns to `caller`. Requires: as unwind::capture.
  birth(profile& threadcreate, std::string_view name, const void* caller) noexcept {
    core::process_state* const s = core::state();
    if (s == nullptr) return;
    labels_ = core::labels_of_this_thread(*s);
    name_ = name_set(*s, name);
    created_ = core::record_stack(*s, threadcreate.rows(), {}, caller);
    if (created_ != nullptr) created_->add(0, 1);
  }

  void cancel() noexcept {
    if (created_ != nullptr) created_->add(0, -1);
    created_ = nullptr;
  }

  // In the new thread.
  void adopt() noexcept {
    core::process_state* const s = core::state();
    core::thread_record* const r = s == nullptr ? nullptr : core::record_of_this_thread(*s);
    if (r == nullptr) return cancel();
    r->labels.store(labels_, std::memory_order_relaxed);
    r->created.store(created_, std::memory_order_relaxed);
    name_this_thread(*s, name_);
    // Samplers need not find it.
    if (auto* const begins = s->samplers.thread_begins.load(std::memory_order_acquire)) begins(*s);
  }

 private:
  stack::bucket* created_ = nullptr;
  std::uint32_t labels_ = stack::label_sets::none;
  std::uint32_t name_ = stack::label_sets::none;
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_BIRTH_HPP
