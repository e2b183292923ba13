// SPDX-License-Identifier: Apache-2.0
//
// Tells <whence/environment.hpp> whether <whence/pthread.hpp> is in its module, maybe in another
// file of it: then every thread tells of its birth.
#ifndef WHENCE_INSTRUMENTS_PTHREAD_MARKER_HPP
#define WHENCE_INSTRUMENTS_PTHREAD_MARKER_HPP

// The linker makes the address null if pthread.hpp, which defines it, is missing.
extern "C" [[gnu::weak, gnu::visibility("hidden")]] const char whence_wraps_pthread_create;

namespace whence::inline v1::instruments {

inline bool wraps_pthread_create() noexcept {
  return &whence_wraps_pthread_create != nullptr;
}

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_PTHREAD_MARKER_HPP
