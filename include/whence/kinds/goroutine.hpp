// SPDX-License-Identifier: Apache-2.0
//
// How `goroutine` is read: threads and coroutines are looked at when a program asks.
#ifndef WHENCE_KINDS_GOROUTINE_HPP
#define WHENCE_KINDS_GOROUTINE_HPP

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <new>
#include <system_error>

#include <whence/core/profile.hpp>
#include <whence/dumps/thread_dumper.hpp>
#include <whence/format/profile_writer.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/text.hpp>
#include <whence/format/thread_text.hpp>
#include <whence/kinds/reading.hpp>
#include <whence/names.hpp>
#include <whence/samplers/library_threads.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/snapshots/thread_snapshot.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/proc_task.hpp>
#include <whence/sys/throw_or_abort.hpp>

namespace whence::inline v1::kinds {

template <class = void>
struct basic_goroutine {
  // If there is no memory, coroutines count as 0.
  static std::size_t count(const profile&) noexcept {
    std::size_t coroutines = 0;
    const state::process_state& s = state::attached();
    (void)sys::catch_error([&] {
      coroutines = s.guests.count(s);
      return std::error_code{};
    });
    return count_threads(s) + coroutines;
  }

  static profile_snapshot snapshot(state::process_state& s, const profile& p, const void* caller) {
    return snapshots::grouped(dump(s, p, caller, dumps::thread_dumper::detail::stacks));
  }

  static std::error_code write(state::process_state& s, const profile& p, sink& out, int debug,
                               write_options options, const void* caller) {
    return sys::catch_error([&] {
      if (debug > 1) {
        const snapshots::thread_dump all =
            dump(s, p, caller, dumps::thread_dumper::detail::everything);
        return format::thread_text_writer<>(out, {}, options.names).write(all);
      }
      const profile_snapshot now = snapshot(s, p, caller);
      return debug > 0 ? format::write_text(out, now, options)
                       : format::write_proto(out, now, options);
    });
  }

 private:
  // Counts the program's threads; 1 if they cannot be listed.
  static std::size_t count_threads(const state::process_state& s) noexcept {
    const samplers::library_threads* const own = s.samplers.own.load(std::memory_order_acquire);
    std::size_t count = 0;
    sys::for_each_task([&](::pid_t tid) { count += own == nullptr || !own->has(tid) ? 1 : 0; });
    return count > 0 ? count : 1;
  }

  // The calling thread's own stack begins at `caller`. Throws: std::bad_alloc.
  static snapshots::thread_dump dump(state::process_state& s, const profile& p, const void* caller,
                                     dumps::thread_dumper::detail how) {
    dumps::thread_dumper* const dumper = dumps::thread_dumper::get(s);
    if (dumper == nullptr) sys::throw_or_abort<std::bad_alloc>();
    return dumper->take(p, caller, how);
  }
};

template <>
struct reading_of<instruments::kind::goroutine> {
  using type = basic_goroutine<>;
};

}  // namespace whence::inline v1::kinds

#endif  // WHENCE_KINDS_GOROUTINE_HPP
