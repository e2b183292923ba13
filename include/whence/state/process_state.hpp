// SPDX-License-Identifier: Apache-2.0
//
// The root: all mutable state of the process hangs from one constant-initialized, trivially
// destructible object, alive before the first constructor and after the last destructor. Its parts
// hand each other what they need; a lower folder never looks the root up.
//
// Each executable or plugin that has the reading code carries one such object, announced by a note
// (sys/elf_note.hpp); the first in link-map order is the root. A module finds it at its first slow
// path, in attach(). Not for signal handlers before that.
#ifndef WHENCE_STATE_PROCESS_STATE_HPP
#define WHENCE_STATE_PROCESS_STATE_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <whence/core/directory.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/instruments/settings_table.hpp>
#include <whence/state/build_flags_check.hpp>
#include <whence/state/guest.hpp>
#include <whence/state/malloc_use.hpp>
#include <whence/state/sampling.hpp>
#include <whence/state/sized_heap.hpp>
#include <whence/sys/arena.hpp>
#include <whence/sys/spin_lock.hpp>
#include <whence/tables/label_merges.hpp>
#include <whence/tables/label_sets.hpp>
#include <whence/tables/live_map.hpp>
#include <whence/tables/losses.hpp>
#include <whence/tables/memory_shares.hpp>
#include <whence/tables/passing_labels.hpp>
#include <whence/tables/sample_epochs.hpp>
#include <whence/tables/sampled_filter.hpp>
#include <whence/tables/table.hpp>
#include <whence/tables/thread_records.hpp>
#include <whence/tables/type_names.hpp>
#include <whence/unwind/unwinder.hpp>

namespace whence::inline v1::samplers {
class profiling_signal;
class cpu_sampler;
class wall_sampler;
struct library_threads;
struct running_profile;
}  // namespace whence::inline v1::samplers

namespace whence::inline v1::tables {
class wait_slots;
class coroutine_records;
}  // namespace whence::inline v1::tables

namespace whence::inline v1::dumps {
template <class>
class basic_thread_dumper;
}  // namespace whence::inline v1::dumps

namespace whence::inline v1::state {

// What the samplers hang from the root: their stacks, which are freed with their windows, and what
// is made when first needed, in the arena, never freed.
struct sampling_root {
  constexpr sampling_root(tables::memory_shares& memory, tables::losses& lost) noexcept
      : cpu(profile_directory::last_id + 1, memory.cpu_samples, lost),
        wall(profile_directory::last_id + 2, memory.wall_samples, lost) {}

  tables::sample_epochs cpu, wall;
  std::atomic<samplers::profiling_signal*> signal{nullptr};
  std::atomic<samplers::cpu_sampler*> cpu_sampler{nullptr};
  std::atomic<samplers::wall_sampler*> wall_sampler{nullptr};
  std::atomic<dumps::basic_thread_dumper<void>*> dumper{nullptr};
  std::atomic<samplers::running_profile*> cpu_profile{nullptr};  // start_cpu_profile
  std::atomic<samplers::library_threads*> own{nullptr};
  std::atomic<::pid_t> process{0};  // the process that owns the samplers
  // Called after a block is sampled, in the thread that allocates, without any lock of ours, in a
  // module that is never unloaded.
  std::atomic<void (*)(process_state&) noexcept> after_sample{nullptr};
  // Every thread of the process calls guest::on_thread_start, since pthread_create is ours: then no
  // thread of the library looks for others.
  std::atomic<bool> births_are_told{false};
};

using address_map = tables::live_map<std::uint64_t>;
using wide_value_map = tables::live_map<tables::wide_key>;

// The memory without which the root could not be opened, 900 KiB of zeros. It is apart from
// process_state, most of which is not zero: so it lies in .bss, of which a page takes memory once
// it is touched.
struct root_memory {
  sys::arena::first_chunk chunk;
  unwind::unwinder::storage unwinder;
  address_map::storage blocks, values;
  wide_value_map::storage wide_values;
  tables::sampled_filter::storage filter;
  sized_heap::storage sized;
};

// Hidden, so that each module has its own.
[[gnu::visibility("hidden")]] inline constinit root_memory own_memory{};

struct process_state {
  // Only the first copy uses these.
  const instruments::recorder* const table = &instruments::recording;

  tables::memory_shares budget{
      static_cast<std::size_t>(instruments::info(instruments::setting::memory_limit).at_start)};
  sys::arena arena{budget.stacks, own_memory.chunk};
  sys::arena label_arena{budget.labels};
  sys::arena live_arena{budget.live};
  tables::losses losses;
  tables::table stacks{arena, losses};
  tables::label_sets labels{label_arena, losses};
  tables::label_merges label_merges{label_arena, labels, losses};
  tables::type_names types{arena, losses};
  unwind::unwinder unwinder{own_memory.unwinder, arena};
  profile_directory profiles{arena};
  address_map blocks{own_memory.blocks, budget.live};  // heap: sampled blocks by address
  address_map values{own_memory.values, budget.live};  // custom: values of up to 8 bytes
  wide_value_map wide_values{own_memory.wide_values, budget.live};  // custom: wider ones
  tables::sampled_filter filter{own_memory.filter};
  sized_heap sized{own_memory.sized, budget.live};  // blocks whose end is seen without their size
  mutable malloc_use in_malloc;
  // Each is made when its first event comes, and never freed.
  std::atomic<tables::wait_slots*> waits{nullptr};
  std::atomic<tables::coroutine_records*> coroutines{nullptr};
  tables::thread_records threads{arena};
  tables::passing_labels passing_labels{budget.labels, threads, labels.lock(), losses};

  sampling_root samplers{budget, losses};
  guest_list guests;

  sampling heap{instruments::info(instruments::setting::heap_rate).at_start};  // bytes allocated
  std::atomic<std::int64_t> hold_rate{instruments::info(instruments::setting::hold_rate).at_start};
  std::atomic<std::int64_t> block_rate{
      instruments::info(instruments::setting::block_rate).at_start};
  std::atomic<std::int64_t> mutex_fraction{
      instruments::info(instruments::setting::mutex_fraction).at_start};
  std::atomic<std::uintptr_t> free_mask{instruments::tagged_only};
  std::atomic<int> stack_depth{
      static_cast<int>(instruments::info(instruments::setting::stack_depth).at_start)};
  std::atomic<bool> links_published{false};  // the code of every module sees the table
  std::atomic<bool> mixed_settings{false};

  sys::spin_lock knobs;  // one change of a knob at a time
  sys::spin_lock opening;
  std::atomic<bool> open{false};
  profile* predefined[instruments::kind_count]{};

  profile& of(instruments::kind k) const noexcept { return *predefined[static_cast<int>(k)]; }
};

// Hidden, as is its memory.
[[gnu::visibility("hidden")]] inline constinit process_state own_state{};

[[gnu::visibility("hidden")]] inline constinit std::atomic<process_state*> root{nullptr};

// Hidden, as is `attached`: both use this module's pointer.
[[gnu::visibility("hidden")]] process_state& attach() noexcept;

// The root. Attaching to it needs no memory of the kernel's, so it cannot fail.
[[gnu::visibility("hidden")]] inline process_state& attached() noexcept {
  // Acquire pairs with attach: the root is open.
  process_state* const s = root.load(std::memory_order_acquire);
  if (s != nullptr) [[likely]]
    return *s;
  return attach();
}

}  // namespace whence::inline v1::state

#endif  // WHENCE_STATE_PROCESS_STATE_HPP
