// SPDX-License-Identifier: Apache-2.0
//
// Makes as many different stacks as a test of long answers needs.
#ifndef WHENCE_TESTS_HTTP_MANY_STACKS_HPP
#define WHENCE_TESTS_HTTP_MANY_STACKS_HPP

#include <tuple>

#include <whence/profile.hpp>

namespace whence_tests {

// Adds `key` to `p` below Depth calls of itself, each of which the bits of `path` choose: each path
// is a stack of its own.
template <int Depth, class Name>
[[gnu::noinline]] void add_below(whence::profile& p, int key, unsigned path) {
  if constexpr (Depth == 0) {
    p.add(key);
  } else if (path % 2 == 0) {
    add_below<Depth - 1, std::tuple<Name, int>>(p, key, path / 2);
  } else {
    add_below<Depth - 1, Name>(p, key, path / 2);
  }
  asm volatile("");
}

}  // namespace whence_tests

#endif  // WHENCE_TESTS_HTTP_MANY_STACKS_HPP
