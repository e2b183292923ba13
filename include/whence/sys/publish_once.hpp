// SPDX-License-Identifier: Apache-2.0
//
// An object that several threads may find missing at once, and of which all get the same one. Each
// makes its own and tries to publish it; those that come too late take theirs back. No thread waits
// for another, so the place may be read, and filled, in a signal handler and after a fork.
//
// What is large to make is claimed first instead (tables/stable_array.hpp).
//
// Lock-free.
#ifndef WHENCE_SYS_PUBLISH_ONCE_HPP
#define WHENCE_SYS_PUBLISH_ONCE_HPP

#include <atomic>
#include <new>
#include <utility>

#include <whence/sys/arena.hpp>

namespace whence::inline v1::sys {

// The object at `place`; if it is null, that of make(), which returns nullptr if it cannot make
// one. take_back(made) is called for an object that came too late, which no other thread has seen.
template <class T, class Make, class TakeBack>
T* publish_once(std::atomic<T*>& place, Make make, TakeBack take_back) {
  T* known = place.load(std::memory_order_acquire);
  if (known != nullptr) return known;
  T* const made = make();
  if (made == nullptr) return place.load(std::memory_order_acquire);
  // Release: a thread that sees the object sees it made.
  if (place.compare_exchange_strong(known, made, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
    return made;
  }
  take_back(made);
  return known;
}

// The same for a T(arguments...) of the arena, which its limit does not refuse. Requires: a new T
// holds nothing that its destructor would have to give back.
template <class T, class... Arguments>
T* publish_once(arena& memory, std::atomic<T*>& place, Arguments&&... arguments) noexcept {
  return publish_once(
      place,
      [&]() -> T* {
        void* const room = memory.allocate_always(sizeof(T));
        return room == nullptr ? nullptr : ::new (room) T(std::forward<Arguments>(arguments)...);
      },
      [&memory](T* made) { memory.take_back(made, sizeof(T)); });
}

}  // namespace whence::inline v1::sys

#endif  // WHENCE_SYS_PUBLISH_ONCE_HPP
