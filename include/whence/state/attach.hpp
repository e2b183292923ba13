// SPDX-License-Identifier: Apache-2.0
//
// How a module with the reading code attaches to the root: it finds the first copy in the process,
// opens it if it is not open yet, and makes it known to all modules. Runs once a module, on its
// first slow path.
//
// The loader's list lock is only ever taken alone: never while a lock of this library is held, and
// code that runs under it takes none of them.
#ifndef WHENCE_STATE_ATTACH_HPP
#define WHENCE_STATE_ATTACH_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include <whence/core/directory.hpp>
#include <whence/core/kinds.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/state/build_flags_check.hpp>
#include <whence/state/current_settings.hpp>
#include <whence/state/fork.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/early_call.hpp>
#include <whence/sys/elf_note.hpp>
#include <whence/sys/errno_guard.hpp>
#include <whence/sys/guard.hpp>
#include <whence/sys/loader.hpp>
#include <whence/sys/spare_descriptor.hpp>

namespace whence::inline v1::state {

// Calls visit(link) for each module of this layout, in link-map order.
template <class Visit>
void for_each_link(Visit visit) noexcept {
  sys::for_each_module([&visit](const dl_phdr_info& module) {
    const sys::elf_note note = sys::find_note("whence1", module);
    if (note.object != 0 && note.layout == WHENCE_LAYOUT) {
      visit(*reinterpret_cast<instruments::module_link*>(note.object));
    }
    return false;
  });
}

// Brings the hot words of all modules up to date. The values are read under the loader's lock, so
// the later of two changes is the last in every module.
inline void publish_hot_words(const process_state& s) noexcept {
  for_each_link([&s](instruments::module_link& link) {
    // Stores the mask before the floor: a thread that samples by the new floor may hand out blocks
    // that are not aligned.
    link.hot.free_mask.store(s.free_mask.load(std::memory_order_relaxed),
                             std::memory_order_relaxed);
    link.hot.floor.store(s.heap.shown_floor(), std::memory_order_release);
    if (void (*const f)() noexcept = link.hot_words_change.load(std::memory_order_acquire)) f();
  });
}

// Makes the root known to all modules: first each learns to see the end of a block, and only then
// that blocks are sampled.
inline void publish_root(process_state& s) noexcept {
  for_each_link([&s](instruments::module_link& link) {
    link.used.store(s.table, std::memory_order_release);
    link.hot.free_mask.store(s.free_mask.load(std::memory_order_relaxed),
                             std::memory_order_relaxed);
  });
  s.links_published.store(true, std::memory_order_release);
  publish_hot_words(s);
}

constexpr bool is_predefined(const core::kind_info& row) noexcept {
  return row.name[0] != '\0' && !row.is_for_sessions;
}

// Requires: nothing else has taken of the arena's first chunk, which has room for all of them.
inline void make_predefined(process_state& s) noexcept {
  constexpr std::size_t bytes = [] {
    std::size_t sum = 0;
    for (const core::kind_info& row : core::kinds) {
      if (is_predefined(row)) sum += profile_directory::bytes_of(row.name, row.description);
    }
    return sum;
  }();
  static_assert(bytes <= sys::arena::first_bytes);
  // A profile that shows the rows of another is made after it.
  for (const bool shows_another : {false, true}) {
    for (int i = 0; i < instruments::kind_count; ++i) {
      const auto k = static_cast<instruments::kind>(i);
      const instruments::kind rows = instruments::rows_of(k);
      const core::kind_info& row = core::info(k);
      if (!is_predefined(row) || (rows != k) != shows_another) continue;
      const profile* const shown = shows_another ? &s.of(rows) : nullptr;
      s.predefined[i] = s.profiles.find_or_make(row.name, row.description, k, shown).it;
    }
  }
}

inline void open_root(process_state& s) noexcept {
  const sys::guard hold(s.opening);
  if (s.open) return;
  make_predefined(s);
  take_environment(s);
  s.open = true;
}

// Runs in a module with the reading code before its constructors, and before they register handlers
// of fork. Hidden, because it uses this module's link.
[[gnu::visibility("hidden")]] inline void prepare_module() noexcept {
  fork_handlers::install();
  instruments::here.attach.store([]() noexcept { attached(); }, std::memory_order_release);
}

// A library attaches inside dlopen, because later it may hold a lock of the program's that a thread
// in dlopen waits for: keeping a plugin loaded takes the loader's lock.
[[gnu::visibility("hidden")]] inline void prepare_early() noexcept {
  prepare_module();
#if defined(__PIC__) && !defined(__PIE__)
  attached();
#endif
}

// Makes a module known as one with the reading code: emitted with attach(), hence if the module has
// a function that reads, not if it only includes one.
[[gnu::always_inline]] inline void declare_module() noexcept {
  WHENCE_ELF_NOTE_WITH_FUNCTION("whenceR", WHENCE_LAYOUT, &own_state);
#if !WHENCE_RECORDS
  // Recording pages leave this note out.
  WHENCE_ELF_NOTE_WITH_FUNCTION("whence1", WHENCE_LAYOUT, &instruments::here);
#endif
  WHENCE_CALL_EARLY_WITH_FUNCTION("whence_prepare", &prepare_early);
}

[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline process_state& attach() noexcept {
  declare_module();
  const sys::errno_guard keep;
  const sys::cancel_guard uncancelled;
  process_state* first = &own_state;
  sys::for_each_module([&first](const dl_phdr_info& module) {
    const sys::elf_note note = sys::find_note("whenceR", module);
    if (note.object == 0 || note.layout != WHENCE_LAYOUT) return false;
    first = reinterpret_cast<process_state*>(note.object);
    return true;
  });
  // Called before taking a lock that a child of fork could find held.
  fork_handlers::install();
  open_root(*first);
  first->unwinder.find_modules();
  sys::keep_loaded(first);
  if (const char* const warning = settings_warning(settings_difference());
      warning != nullptr && !first->mixed_settings.exchange(true)) {
    warn(warning);
  }
  publish_root(*first);
  if (first == &own_state) sys::spare.refill();  // one per process
  // Release pairs with attached(): a thread that sees the root finds it open.
  root.store(first, std::memory_order_release);
  return *first;
}

}  // namespace whence::inline v1::state

#endif  // WHENCE_STATE_ATTACH_HPP
