// SPDX-License-Identifier: Apache-2.0
//
// An unwinder of the tests' own that knows the modules, apart from the process's.
#ifndef WHENCE_TESTS_UNWIND_OWN_UNWINDER_HPP
#define WHENCE_TESTS_UNWIND_OWN_UNWINDER_HPP

#include <cstddef>
#include <stdexcept>

#include <whence/sys/arena.hpp>
#include <whence/unwind/unwinder.hpp>

namespace whence_tests {

inline constinit whence::sys::memory_budget own_budget{std::size_t{64} << 20};
inline constinit whence::sys::arena own_arena{own_budget};

inline whence::unwind::unwinder& own_unwinder() {
  static constinit whence::unwind::unwinder::storage storage{};
  static constinit whence::unwind::unwinder u{storage, own_arena};
  if (!u.find_modules()) throw std::runtime_error("no memory for an unwinder");
  return u;
}

}  // namespace whence_tests

#endif  // WHENCE_TESTS_UNWIND_OWN_UNWINDER_HPP
