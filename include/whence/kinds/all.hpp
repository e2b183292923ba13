// SPDX-License-Identifier: Apache-2.0
//
// Finds the class that reads the profiles of a kind, which is known when the program runs.
#ifndef WHENCE_KINDS_ALL_HPP
#define WHENCE_KINDS_ALL_HPP

#include <utility>

#include <whence/instruments/kind.hpp>
#include <whence/kinds/custom.hpp>
#include <whence/kinds/goroutine.hpp>
#include <whence/kinds/reading.hpp>

namespace whence::inline v1::kinds {

// Returns use(reader), where `reader` is an object of the class that reads profiles of kind `k`. A
// compiler instantiates only the function that `use` calls, once a class.
template <int I = 0, class Use>
auto with_reader(instruments::kind k, Use&& use) {
  constexpr auto it = static_cast<instruments::kind>(I);
  if constexpr (I + 1 < instruments::kind_count) {
    if (k != it) return with_reader<I + 1>(k, std::forward<Use>(use));
  }
  return use(typename reading_of<it>::type{});
}

}  // namespace whence::inline v1::kinds

#endif  // WHENCE_KINDS_ALL_HPP
