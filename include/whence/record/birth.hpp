// SPDX-License-Identifier: Apache-2.0
//
// The creation, the name and the record of a thread, for instruments/birth.hpp and
// thread_words.hpp. Thread-safe; not for signal handlers.
#ifndef WHENCE_RECORD_BIRTH_HPP
#define WHENCE_RECORD_BIRTH_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <whence/instruments/birth.hpp>
#include <whence/instruments/thread_words.hpp>
#include <whence/profile/attach.hpp>
#include <whence/profile/process_state.hpp>
#include <whence/profile/profile.hpp>
#include <whence/profile/record.hpp>
#include <whence/profile/thread_labels.hpp>
#include <whence/profile/thread_records.hpp>
#include <whence/stack/bucket.hpp>
#include <whence/stack/label_sets.hpp>

namespace whence::inline v1::record {

// Gives the calling thread a name: the label `thread` over those in force.
inline void name_this_thread(core::process_state& s, std::uint32_t name) noexcept {
  core::thread_record* const r = core::record_of_this_thread(s);
  if (r == nullptr || name == stack::label_sets::none || name == stack::label_sets::overflow) {
    return;
  }
  r->name.store(name, std::memory_order_relaxed);
  r->labels.store(s.label_merges.over(r->labels.load(std::memory_order_relaxed), name),
                  std::memory_order_relaxed);
}

inline std::uint32_t name_set(core::process_state& s, std::string_view name) noexcept {
  if (name.empty()) return stack::label_sets::none;
  const stack::label one{"thread", name};
  return s.labels.intern({&one, 1});
}

inline void name_thread(const char* name, std::size_t length) noexcept {
  core::process_state* const s = core::state();
  if (s != nullptr) name_this_thread(*s, name_set(*s, {name, length}));
}

inline void begin_birth(instruments::birth_words& b, profile& threadcreate, const char* name,
                        std::size_t length, const void* caller) noexcept {
  core::process_state* const s = core::state();
  if (s == nullptr) return;
  b.labels = core::labels_of_this_thread(*s);
  b.name = name_set(*s, {name, length});
  stack::bucket* const created = core::record_stack(*s, threadcreate.rows(), {}, caller);
  if (created != nullptr) created->add(0, 1);
  b.created = created;
}

inline void cancel_birth(instruments::birth_words& b) noexcept {
  if (b.created != nullptr) static_cast<stack::bucket*>(b.created)->add(0, -1);
  b.created = nullptr;
}

// The new thread calls this.
inline void adopt_birth(instruments::birth_words& b) noexcept {
  core::process_state* const s = core::state();
  core::thread_record* const r = s == nullptr ? nullptr : core::record_of_this_thread(*s);
  if (r == nullptr) return cancel_birth(b);
  r->labels.store(b.labels, std::memory_order_relaxed);
  r->created.store(static_cast<stack::bucket*>(b.created), std::memory_order_relaxed);
  name_this_thread(*s, b.name);
  // The samplers are told of the thread, so that they need not find it.
  if (auto* const begins = s->samplers.thread_begins.load(std::memory_order_acquire)) begins(*s);
}

inline instruments::thread_words* this_thread(bool make) noexcept {
  core::process_state* const s = core::state();
  if (s == nullptr) return nullptr;
  return make ? core::record_of_this_thread(*s) : core::this_thread(*s);
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_BIRTH_HPP
