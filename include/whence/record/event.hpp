// SPDX-License-Identifier: Apache-2.0
//
// Takes the stack of an event and looks its bucket up, as every instrument does.
//
// Thread-safe. Never allocates from the heap, never throws. Stack: 1 KiB, and 8 bytes for each
// frame of the depth limit, 1 KiB more by default.
#ifndef WHENCE_RECORD_EVENT_HPP
#define WHENCE_RECORD_EVENT_HPP

#include <cstddef>
#include <cstdint>

#include <whence/state/process_state.hpp>
#include <whence/state/thread_labels.hpp>
#include <whence/tables/bucket.hpp>
#include <whence/unwind/capture.hpp>
#include <whence/unwind/modules/unloadable_keys.hpp>

namespace whence::inline v1::record {

// What distinguishes a bucket besides its stack.
struct event_key {
  std::uint64_t number = 0;
  std::int64_t rate = 0;
  std::uint32_t labels = 0;  // merged over those of the thread
  const char* type = nullptr;
};

// The labels of an event. If there is no room for the union, those of what it waits for are kept.
inline std::uint32_t labels_of_event(state::process_state& s, std::uint32_t own) noexcept {
  const std::uint32_t all = s.label_merges.over(state::labels_of_this_thread(s), own);
  return all == tables::label_sets::overflow && own != tables::label_sets::none ? own : all;
}

// The bucket in `list`, with the labels of the calling thread, of the stack that begins at the
// frame returning to `caller`. nullptr if the event is lost (and counted so). Requires: as
// unwind::capture. It is inlined, because the walk would have to pass a frame of its own.
[[gnu::always_inline]] inline tables::bucket* record_stack_inlined(state::process_state& s,
                                                                   tables::bucket_list& list,
                                                                   event_key event,
                                                                   const void* caller,
                                                                   std::size_t skip = 0) noexcept {
  const auto limit = static_cast<std::size_t>(s.stack_depth.load(std::memory_order_relaxed));
  unwind::trace t{static_cast<std::uintptr_t*>(__builtin_alloca(limit * sizeof(std::uintptr_t))),
                  limit};
  s.unwinder.find_modules();
  unwind::capture(s.unwinder, t, caller, skip);
  unwind::use_keys<unwind::trusted_memory>(s.unwinder, t);
  const tables::key k{{t.pcs, t.depth, t.truncated, t.leaf_is_ip},
                      event.number,
                      event.rate,
                      labels_of_event(s, event.labels),
                      event.type};
  return s.stacks.record(list, k);
}

[[gnu::noinline]] inline tables::bucket* record_stack(state::process_state& s,
                                                      tables::bucket_list& list, event_key event,
                                                      const void* caller,
                                                      std::size_t skip = 0) noexcept {
  return record_stack_inlined(s, list, event, caller, skip);
}

}  // namespace whence::inline v1::record

#endif  // WHENCE_RECORD_EVENT_HPP
