// SPDX-License-Identifier: Apache-2.0
//
// The names of the public interface, and the default arguments of its templates, which are written
// here only. It is for headers that name the library's types by reference or pointer, and takes
// 0.02 s to include. It lacks tracked_mutex<>, whose default is std::mutex: see fwd.hpp.
#ifndef WHENCE_NAMES_HPP
#define WHENCE_NAMES_HPP

#include <whence/config.hpp>

#include <concepts>
#include <cstddef>
#include <iosfwd>
#include <type_traits>

namespace whence::inline v1 {

// ---- profiles

// How a profile names its functions. brief: as pprof shows C++ by default, shop::prices, with the
// mangled name beside it; templates: with template arguments; full: with parameters and results
// too; mangled: as the linker knows them.
enum class name_style { brief, templates, full, mangled };

// What a profile says of its addresses. automatic: all that is known, and for a module without
// symbols the names of module and offset and the statement that nothing is known; deferred: no
// names at all for such a module, for servers that add names only to what has none; all: as if
// everything were known; none: addresses only.
enum class symbol_mode { automatic, deferred, all, none };

// How a profile is written. It is complete here, because it is a default argument.
struct write_options {
  name_style names = name_style::brief;
  symbol_mode symbols = symbol_mode::automatic;
};

class profile;
class profile_key;
struct profile_header;
struct profile_row;
struct profile_snapshot;
class sink;
struct fd;
enum class errc;

// A string as a template argument: custom_profile<"app.sessions">.
template <std::size_t N>
struct fixed_string {
  static constexpr std::size_t length = N - 1;
  char text[N]{};

  consteval fixed_string(const char (&literal)[N]) {
    for (std::size_t i = 0; i < N; ++i) text[i] = literal[i];
  }
};

// ---- registries (registry.hpp)

// R::enabled tells whether it records; if so, each function names the profile events go into.
// The functions are called on slow paths only, and may not throw.
template <class R>
concept profile_registry = std::same_as < std::remove_cvref_t<decltype(R::enabled)>,
bool > &&(!R::enabled || requires {
  { R::heap() } -> std::same_as<profile&>;
  { R::block() } -> std::same_as<profile&>;
  { R::mutex() } -> std::same_as<profile&>;
  { R::threadcreate() } -> std::same_as<profile&>;
});

struct null_registry {
  static constexpr bool enabled = false;
};

// It is complete here, because constraints look into it. registry.hpp defines the functions.
struct predefined_registry {
  static constexpr bool enabled = true;
  static profile& heap() noexcept;
  static profile& block() noexcept;
  static profile& mutex() noexcept;
  static profile& mutex_hold() noexcept;
  static profile& threadcreate() noexcept;
};

template <fixed_string Prefix>
struct prefixed_registry {
  static constexpr bool enabled = true;
  static profile& heap() noexcept;
  static profile& block() noexcept;
  static profile& mutex() noexcept;
  static profile& mutex_hold() noexcept;
  static profile& threadcreate() noexcept;
};

// The predefined profiles; with WHENCE_DISABLE, nothing.
using default_registry = std::conditional_t<config::disabled, null_registry, predefined_registry>;

template <fixed_string Prefix>
using named_registry =
    std::conditional_t<config::disabled, null_registry, prefixed_registry<Prefix>>;

// ---- entries of custom profiles (tracked.hpp)

// It is complete here, because a default argument of `tracked` looks into it.
template <fixed_string Name, bool Enabled>
struct basic_custom_profile {
  static constexpr bool enabled = Enabled;

  // The profile of that name. Programs and plugins that use the name share it. It is listed,
  // without entries, as soon as a module is loaded whose code calls this.
  static profile& get() noexcept;
};
template <fixed_string Name>
using custom_profile = basic_custom_profile<Name, default_registry::enabled>;

template <class Profile, bool Enabled = Profile::enabled>
class tracked;

// ---- memory (allocator.hpp, memory_resource.hpp, tracking_new.hpp)

template <class T, profile_registry R, class Upstream>
class basic_tracking_allocator;

// Upstream itself if the registry records nothing.
template <class T, profile_registry R = default_registry, class Upstream = std::allocator<T>>
using tracking_allocator =
    std::conditional_t<R::enabled, basic_tracking_allocator<T, R, Upstream>, Upstream>;

template <profile_registry R = default_registry>
class basic_tracking_resource;
using tracking_resource = basic_tracking_resource<>;

template <profile_registry R = default_registry>
class tracking_new;

// ---- locks (mutex.hpp, condition_variable.hpp)

namespace sys {
class futex_mutex;
}  // namespace sys

template <class M, profile_registry R>
class tracked_mutex;

// The library's own mutex, faster than std::mutex if nothing is recorded (sys/futex_mutex.hpp). In
// a process of one thread, std::mutex is faster, because glibc leaves the atomic instructions out.
template <profile_registry R = default_registry>
using basic_mutex = tracked_mutex<sys::futex_mutex, R>;
using mutex = basic_mutex<>;

template <profile_registry R = default_registry>
class basic_tracked_condition_variable;
using tracked_condition_variable = basic_tracked_condition_variable<>;

// ---- other waits (sync.hpp)

namespace instruments {
struct no_completion;
}  // namespace instruments

// The greatest count that a semaphore of libstdc++ can have.
template <std::ptrdiff_t Max = 0x7fffffff, profile_registry R = default_registry>
class basic_tracked_counting_semaphore;
template <std::ptrdiff_t Max = 0x7fffffff>
using tracked_counting_semaphore = basic_tracked_counting_semaphore<Max>;
using tracked_binary_semaphore = tracked_counting_semaphore<1>;

template <profile_registry R = default_registry>
class basic_tracked_latch;
using tracked_latch = basic_tracked_latch<>;

template <class Completion = instruments::no_completion, profile_registry R = default_registry>
class basic_tracked_barrier;
template <class Completion = instruments::no_completion>
using tracked_barrier = basic_tracked_barrier<Completion>;

template <class Future, profile_registry R>
class basic_future_waits;
template <class T, profile_registry R = default_registry>
class basic_tracked_future;
template <class T>
using tracked_future = basic_tracked_future<T>;
template <class T, profile_registry R = default_registry>
class basic_tracked_shared_future;
template <class T>
using tracked_shared_future = basic_tracked_shared_future<T>;

template <profile_registry R = default_registry>
class basic_blocking_scope;
using blocking_scope = basic_blocking_scope<>;

// ---- threads (thread.hpp)

struct thread_name;

// It wraps std::jthread if it joins, else std::thread.
template <bool Joins, profile_registry R>
class basic_tracked_thread;
using tracked_thread = basic_tracked_thread<false, default_registry>;
using tracked_jthread = basic_tracked_thread<true, default_registry>;

// ---- labels (labels.hpp)

class labels;
template <bool Enabled>
class basic_scoped_labels;
template <bool Enabled>
class basic_scoped_labels_only;
using scoped_labels = basic_scoped_labels<!config::disabled>;
using scoped_labels_only = basic_scoped_labels_only<!config::disabled>;

// ---- coroutines (coroutine.hpp)

template <class A, profile_registry R = default_registry>
class basic_tracked_awaitable;
template <class A>
using tracked_awaitable = basic_tracked_awaitable<A>;
template <class A, profile_registry R>
struct named_awaitable;
template <profile_registry R>
class basic_tracked_promise;
using tracked_promise = basic_tracked_promise<default_registry>;

// ---- samplers (cpu.hpp, wall.hpp)

struct cpu_options;
class cpu_session;
struct wall_options;
class wall_session;

// ---- http (http.hpp, server.hpp)

namespace http {
struct request;
struct response_head;
struct response;
struct options;
class operation;
}  // namespace http
class server;

}  // namespace whence::inline v1

#endif  // WHENCE_NAMES_HPP
