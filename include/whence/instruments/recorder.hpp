// SPDX-License-Identifier: Apache-2.0
//
// The seam between recording and reading code. A file that records compiles its fast paths and,
// behind them, calls through one table of functions. The functions of the table (record/) come into
// the process with the file that reads profiles.
//
//   a recording file                         the module that reads, first in the process
//   countdown, try_lock, ...      inline     record/recording.hpp: the table
//   here.used, or nothing yet  ───────────>  recorder::due, record_block, begin_wait, ...
//
// Each module has a module_link, found by a note (sys/elf_note.hpp). The module that has the code
// and comes first in link-map order serves all modules, and stays loaded for good. When it is
// ready, it writes its table and the hot words into every link; a module that is loaded later reads
// them from another module's link, before its other constructors run. If no module of the process
// reads, nothing is recorded: a slow path then costs a call and three loads.
#ifndef WHENCE_INSTRUMENTS_RECORDER_HPP
#define WHENCE_INSTRUMENTS_RECORDER_HPP

#include <whence/config.hpp>

#include <link.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include <whence/instruments/build_flags.hpp>
#include <whence/instruments/hot_words.hpp>
#include <whence/instruments/kind.hpp>
#include <whence/names.hpp>
#include <whence/sys/atomic_word.hpp>
#include <whence/sys/early_environment.hpp>
#include <whence/sys/elf_note.hpp>

// Raised whenever the layout of module_link, of recorder, or of anything that they hand over
// changes, and with every change of process_state: modules with different numbers do not share.
#define WHENCE_LAYOUT 17

namespace whence::inline v1::tables {
struct coroutine_record;
}  // namespace whence::inline v1::tables

namespace whence::inline v1 {

namespace instruments {
enum class suspended : unsigned char { at_start, idly, waiting };  // how a coroutine is suspended

class label_list;

struct ended_block;
struct sized_block;
struct program_draw;
enum class layer : unsigned;
struct wait_room;
struct lock_words;
struct ended_hold;
struct birth_words;
struct thread_words;
enum class setting : int;

// All functions are thread-safe and allocate nothing from the heap; none of them may be called in a
// signal handler. `caller` is as for unwind::capture: the return address of a function still
// active, at whose caller the stack begins.
struct recorder {
  // Called in the module that has the table, before its other code runs (state/attach.hpp).
  void (*prepare)() noexcept;

  // Profiles by kind and by name, made if they do not exist. There is always a result to record
  // into.
  profile& (*predefined)(kind) noexcept;
  profile& (*find_or_make)(const char* name, kind, profile* shown) noexcept;

  // Memory (record/heap.hpp).
  std::int64_t (*due)(profile& heap, std::int64_t& countdown, std::size_t bytes) noexcept;
  bool (*record_block)(profile& heap, const void* block, std::size_t bytes, std::int64_t rate,
                       std::uint16_t shift, const void* caller, const char* type) noexcept;
  ended_block (*end_block)(profile& heap, const void* block, std::size_t bytes) noexcept;

  // Memory whose end is seen without its size: that of the whole program, and of tracking_new
  // (record/sized_heap.hpp). A block that was taken is settled once: put back, or counted as ended.
  void (*join_layer)(layer, const void* below) noexcept;
  std::int64_t (*due_in_layer)(layer, program_draw&, std::size_t bytes) noexcept;
  bool (*record_sized)(profile& heap, const void* block, std::size_t bytes, std::size_t usable,
                       std::int64_t rate, const void* caller, const char* type) noexcept;
  sized_block (*find_sized)(profile& heap, const void* block) noexcept;
  sized_block (*take_sized)(profile& heap, const void* block) noexcept;
  void (*settle_sized)(const sized_block&, const void* put_back) noexcept;

  // Entries of custom profiles: the counter of the entry; nullptr if the event is lost.
  sys::atomic_word<std::int64_t>* (*begin_entry)(profile&, const void* caller) noexcept;

  // Waits (record/wait.hpp). A wait that has begun is ended once, by end_wait or by abandon_wait. A
  // name is copied.
  std::uint32_t (*name_wait)(const char* key, const char* name, std::size_t size) noexcept;
  void (*begin_wait)(wait_room&, profile& block, std::uint32_t labels, const void* caller,
                     lock_words*, bool may_give_up) noexcept;
  void (*end_wait)(wait_room&, bool gained) noexcept;
  void (*abandon_wait)(wait_room&) noexcept;

  // Locks (record/lock.hpp).
  bool (*begin_hold)(lock_words&) noexcept;
  ended_hold (*charge)(lock_words&) noexcept;
  void (*record_delay)(profile& mutex, const ended_hold&, const void* caller) noexcept;
  void (*record_hold)(profile& mutex_hold, const ended_hold&, const void* caller) noexcept;

  // Threads and labels (record/birth.hpp, record/labels.hpp).
  void (*begin_birth)(birth_words&, profile& threadcreate, const char* name, std::size_t length,
                      const void* caller) noexcept;
  void (*cancel_birth)(birth_words&) noexcept;
  void (*adopt_birth)(birth_words&) noexcept;
  void (*name_thread)(const char* name, std::size_t length) noexcept;
  thread_words* (*this_thread)(bool make) noexcept;  // nullptr: it has no record
  // `pairs`: an array of instruments::label_pair. Throws: std::length_error.
  std::uint64_t (*intern_labels)(const void* pairs, std::size_t count);
  std::uint64_t (*merge_labels)(std::uint64_t below, std::uint64_t above) noexcept;
  label_list (*labels_of)(std::uint32_t number) noexcept;

  // Coroutines (record/suspension.hpp). `counted` and `block`: the profiles in which they are
  // counted, or nullptr.
  tables::coroutine_record* (*begin_coroutine)(profile* counted, const void* caller) noexcept;
  void (*end_coroutine)(tables::coroutine_record&) noexcept;
  void (*suspend)(tables::coroutine_record&, std::uintptr_t pc, suspended, profile* block,
                  std::uint32_t labels) noexcept;
  void (*resume)(tables::coroutine_record&, bool suspended) noexcept;
  void (*await)(tables::coroutine_record& callee, tables::coroutine_record& caller) noexcept;

  // Settings (record/change_setting.hpp); returns the value before.
  std::int64_t (*set)(setting, std::int64_t) noexcept;
};

// The module's own table, if it has the code (record/recording.hpp).
[[gnu::visibility("hidden")]] extern const recorder recording asm("whence_recording");

struct module_link {
  hot_words hot;
  sys::atomic_word<const recorder*> used{nullptr};  // the table of the process
  sys::atomic_word<void (*)() noexcept> attach{
      nullptr};  // if this module has the code: gets it ready
  // The reference pulls the bodies out of their archive if they are compiled once, even for a
  // program or plugin that consists of recording files.
  const recorder* const pulled = config::compiled ? &recording : nullptr;
  sys::atomic_word<bool> looked{false};  // in other modules' links
  // Called after the hot words were written, under the loader's lock, if there is a layer of the
  // whole program in this module (program_heap.hpp).
  sys::atomic_word<void (*)() noexcept> hot_words_change{nullptr};
};

// Each module has its own. It is hidden, as is every function that works on it, because the dynamic
// linker may choose another module's copy of any symbol that is not. The note refers to the
// assembler name.
#if WHENCE_RECORDS
[[gnu::visibility("hidden"), gnu::used]] inline constinit module_link here asm("whence_link"){};
WHENCE_ELF_NOTE("whence1", WHENCE_LAYOUT, "whence_link");
#else
// A program that disables its instruments may still read (record/recording.hpp).
[[gnu::visibility("hidden")]] inline constinit module_link here asm("whence_link"){};
#endif

// Looks for a table in other modules' links, and copies the hot words that go with it. It runs
// under the loader's lock, under which they are written, so that what is copied belongs together.
[[gnu::visibility("hidden")]] inline int copy_from(dl_phdr_info* module, std::size_t,
                                                   void* attach) noexcept {
  const sys::elf_note note = sys::find_note("whence1", *module);
  if (note.object == 0) return 0;
  if (note.layout != WHENCE_LAYOUT) {
    constexpr char line[] =
        "whence: modules of this process are of different versions of whence, which share no "
        "profiles\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line, sizeof line - 1);
    return 0;
  }
  auto& other = *reinterpret_cast<module_link*>(note.object);
  if (&other == &here) return 0;
  const recorder* const used = other.used.load(sys::acquire);
  if (used != nullptr) {
    here.hot.free_mask.store(other.hot.free_mask.load(sys::relaxed), sys::relaxed);
    here.used.store(used, sys::release);
    here.hot.floor.store(other.hot.floor.load(sys::relaxed), sys::release);
    if (void (*const f)() noexcept = here.hot_words_change.load(sys::relaxed)) f();
    return 1;
  }
  // The executable has the code, and has not used it yet. It is never unloaded, so its function may
  // be called later.
  if (*module->dlpi_name == '\0') {
    *static_cast<void (**)() noexcept>(attach) = other.attach.load(sys::acquire);
  }
  return 0;
}

[[gnu::visibility("hidden")]] inline void look_for_recorder() noexcept {
  void (*attach)() noexcept = nullptr;
  const bool found = ::dl_iterate_phdr(&copy_from, &attach) != 0;
  if (!found && attach != nullptr) attach();
  here.looked.store(true, sys::release);
}

// Runs before any other code of the module, at the start of the program or inside dlopen: the
// loader's lock, which must not be taken while another thread may fork, is held then anyway. Code
// that is compiled once comes from an archive of position-independent code, which has no place in
// an executable's .preinit_array, so its preparation begins here, too.
[[gnu::visibility("hidden")]] inline void begin_module() noexcept {
  if constexpr (config::compiled) recording.prepare();
  if (!here.looked.load(sys::relaxed)) look_for_recorder();
}
#if !WHENCE_RECORDS
#elif defined(__PIC__) && !defined(__PIE__)
[[gnu::constructor(101), gnu::used]] static void begin_module_early() noexcept {
  begin_module();
}
#else
[[gnu::visibility("hidden")]] inline void begin_program(int, char**, char** variables) noexcept {
  sys::use_early_environment(variables);
  begin_module();
}
[[gnu::section(".preinit_array"),
  gnu::used]] static void (*const begin_module_early)(int, char**, char**) = &begin_program;
#endif

[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline const recorder*
find_recorder() noexcept {
  if (void (*const attach)() noexcept = here.attach.load(sys::acquire)) {
    attach();
  } else if (!here.looked.load(sys::acquire)) {
    look_for_recorder();
  }
  const recorder* const used = here.used.load(sys::acquire);
  if (used == nullptr) {
    // Nothing is sampled in this process, unless a table and its mask came just now.
    std::uintptr_t mask = not_looked;
    here.hot.free_mask.compare_exchange_strong(mask, tagged_only, sys::relaxed);
  }
  return used;
}

// The table of the process; nullptr if no module reads.
[[gnu::visibility("hidden")]] inline const recorder* recorder_here() noexcept {
  // Acquire pairs with publish_root: the data of the table's functions is ready.
  const recorder* const used = here.used.load(sys::acquire);
  return used != nullptr ? used : find_recorder();
}

// The profile of a registry if nothing records: zeros, which the functions of a table that comes
// later take for a profile without rows (core/profile.hpp).
inline constexpr std::size_t no_profile_bytes = 256;
[[gnu::visibility("hidden")]] inline profile& no_profile() noexcept {
  alignas(16) static constinit unsigned char place[no_profile_bytes]{};
  return reinterpret_cast<profile&>(place);
}

}  // namespace instruments

}  // namespace whence::inline v1

#endif  // WHENCE_INSTRUMENTS_RECORDER_HPP
